// The menu "save": files come from the kernel and go where the browser puts what it loads; code goes to the clipboard.
import { element } from "./dom";
import { icon } from "./icons";
import type { Model } from "./models";

const KINDS: [string, string, string][] = [
  ["png", "picture", "PNG: stage and legend"],
  ["map", "map alone", "PNG: the explored map in its colours"],
  ["sheet", "contact sheet", "PNG: what lies behind the map"],
  ["html", "page", "HTML: works without a kernel and without a network"],
  ["npz", "raw maps", "NPZ: arrays and what they mean"],
  ["code", "copy as code", "lines that compute the shown map again"],
];

export function mountSave(el: HTMLElement, model: Model, signal: AbortSignal): void {
  const button = element("button", "sw-tool", { type: "button", title: "save or copy", "aria-label": "save or copy", "aria-expanded": "false" }, icon("save"));
  const list = element("div", "sw-pop", { role: "menu", "aria-label": "save or copy" });
  const said = element("div", "sw-said", { role: "status" });
  const open = (on: boolean) => {
    list.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
  };
  const items = KINDS.map(([kind, word, tip]) => {
    const item = element("button", "sw-action", { type: "button", role: "menuitem", title: tip, "data-kind": kind }, word);
    item.addEventListener("click", () => {
      said.replaceChildren(kind === "code" ? "" : "being made …");
      model.send?.({ kind: "save", what: kind });
    });
    return item;
  });
  list.append(...items, said);
  open(false);
  button.addEventListener("click", () => {
    said.replaceChildren();
    open(list.hidden);
  });
  el.replaceChildren(button, list);
  el.dataset.lmSuppressShortcuts = "true";
  el.addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || list.hidden) return;
    open(false);
    button.focus();
    e.stopPropagation();
  });
  document.addEventListener("pointerdown", (e) => !el.contains(e.target as Node) && open(false), { signal });

  /** Shows the code where the clipboard is closed to us, ready to be copied by hand. */
  const byHand = (code: string) => {
    const field = element("textarea", "", { readonly: "", rows: "6", "aria-label": "code that computes the shown map" });
    field.value = code;
    said.replaceChildren("copy it from here:", field);
    field.focus();
    field.select();
  };
  const copy = async (code: string) => {
    try {
      await navigator.clipboard.writeText(code);
      said.replaceChildren("copied");
    } catch {
      byHand(code);
    }
  };
  const received = (content: any, buffers?: DataView[]) => {
    if (content?.kind === "code") void copy(content.code);
    else if (content?.kind === "error") said.replaceChildren(content.words);
    else if (content?.kind === "file" && buffers?.length) {
      const part = buffers[0];
      const blob = new Blob([new Uint8Array(part.buffer as ArrayBuffer, part.byteOffset, part.byteLength)], { type: content.type });
      const address = URL.createObjectURL(blob);
      element("a", "", { href: address, download: content.name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
      said.replaceChildren(`saved as ${content.name}`);
    }
  };
  model.on("msg:custom", received);
  signal.addEventListener("abort", () => model.off("msg:custom", received));
}
