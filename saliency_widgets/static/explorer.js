var l={render({model:e,el:t}){t.dataset.role=e.get("role")}};export{l as default};
