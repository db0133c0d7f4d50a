// What every widget of ours carries: it takes the one bundle of its kernel, which one model holds for all of them. A page keeps
// each module that it ever loaded, so a bundle for each widget would grow it with every explorer that is opened.
const load = async (model) => {
  const named = model.get("bundle");
  const id = typeof named === "string" ? named.replace(/^IPY_MODEL_/, "") : named.model_id;
  const known = (globalThis.saliencyWidgets ??= new Map());
  if (!known.has(id)) {
    const loading = (async () => {
      const bundle = typeof named === "string" ? await model.widget_manager.get_model(id) : named;
      const style = document.createElement("style");
      style.textContent = bundle.get("style");
      document.head.append(style);
      const url = URL.createObjectURL(new Blob([bundle.get("script")], { type: "text/javascript" }));
      try {
        return (await import(/* @vite-ignore */ url)).default;
      } finally {
        URL.revokeObjectURL(url);
      }
    })();
    known.set(id, loading);
    loading.catch(() => known.delete(id)); // the next widget tries again
  }
  return known.get(id);
};

export default {
  async render(context) {
    const bundle = await load(context.model);
    return context.signal?.aborted ? undefined : bundle.render(context);
  },
};
