export default {
  render({ model, el }: { model: { get(name: string): any }; el: HTMLElement }) {
    el.dataset.role = model.get("role");
  },
};
