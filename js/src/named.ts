// Names and roles that ipywidgets do not give: slider handles, icon buttons, rows of buttons that act as one choice.

const GROUPS: [string, string][] = [
  [".sw-names", "class to explain"],
  [".sw-families", "method family"],
  [".sw-views", "view"],
  [".sw-trust-tabs", "evidence"],
];

/** Sets attributes only where they differ. */
function set(node: Element, name: string, value: string): void {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** The name that Python gave as a tooltip: on the control itself, its label or its field. */
function nameOf(control: Element): string {
  const holders = [control, ...control.querySelectorAll(":scope > label, :scope > select, :scope > input")];
  return holders.map((node) => node.getAttribute("title") ?? "").find((title) => title && title !== "null") ?? "";
}

function nameControl(control: Element): void {
  const name = nameOf(control);
  if (!name) return;
  const handles = control.querySelectorAll(".noUi-handle");
  handles.forEach((handle, i) => {
    set(handle, "aria-label", handles.length > 1 ? `${name}, ${i ? "end" : "start"}` : name);
    const value = handle.getAttribute("aria-valuetext");
    if (value && Number.isFinite(Number(value))) set(handle, "aria-valuenow", value); // noUiSlider rounds it to one digit
  });
  for (const field of control.querySelectorAll("select, input")) set(field, "aria-label", name);
  const bar = control.querySelector(".progress");
  if (bar) {
    set(bar, "role", "progressbar");
    set(bar, "aria-label", name);
  }
  if (control instanceof HTMLButtonElement) {
    set(control, "aria-label", name);
    if (control.classList.contains("widget-toggle-button")) {
      set(control, "aria-pressed", String(control.classList.contains("mod-active")));
    }
  } else {
    const readout = control.querySelector(".widget-readout");
    if (readout) set(readout, "aria-label", `${name}, as a number`);
    for (const button of control.querySelectorAll("button")) set(button, "aria-label", name);
  }
}

const choices = (group: Element) =>
  [...group.querySelectorAll("button")].filter((button) => !button.disabled && getComputedStyle(button).visibility !== "hidden");

function nameGroup(group: Element, name: string): void {
  set(group, "role", "radiogroup");
  set(group, "aria-label", name);
  const buttons = choices(group);
  const chosen = buttons.find((button) => button.classList.contains("sw-on")) ?? buttons[0];
  for (const button of group.querySelectorAll("button")) {
    set(button, "role", "radio");
    set(button, "aria-checked", String(button.classList.contains("sw-on")));
    set(button, "tabindex", button === chosen ? "0" : "-1");
  }
}

/** Arrow keys walk a group and choose, as radio buttons do. */
function walk(event: KeyboardEvent): void {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const button = event.target instanceof HTMLButtonElement ? event.target : null;
  const group = button?.closest(GROUPS.map(([selector]) => selector).join(", "));
  if (!step || !button || !group) return;
  const buttons = choices(group);
  const next = buttons[(buttons.indexOf(button) + step + buttons.length) % buttons.length];
  event.preventDefault();
  event.stopPropagation();
  next?.focus();
  next?.click();
}

/** Names all controls of the explorer around `el`, now and whenever they change. */
export function nameControls(el: HTMLElement, signal: AbortSignal): void {
  let root: Element | null = null;
  let wanted = false;
  const name = () => {
    wanted = false;
    if (signal.aborted || !root) return;
    set(root, "role", "region");
    set(root, "aria-label", "saliency explorer");
    root.querySelectorAll(".sw-named").forEach(nameControl);
    for (const [selector, words] of GROUPS) root.querySelectorAll(selector).forEach((group) => nameGroup(group, words));
  };
  const later = () => {
    if (wanted) return;
    wanted = true;
    setTimeout(name, 50);
  };
  const changes = new MutationObserver(later);
  // Views are built detached: the explorer around us is known once we have a size.
  const attached = new ResizeObserver(() => {
    const found = el.closest(".sw-explorer");
    if (!found || found === root) return;
    root = found;
    changes.disconnect();
    changes.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "title", "disabled", "aria-valuetext"] });
    root.addEventListener("keydown", walk as EventListener, { signal });
    later();
  });
  attached.observe(el);
  signal.addEventListener("abort", () => {
    attached.disconnect();
    changes.disconnect();
  });
}
