"""With the keyboard alone, and with the ears: Tab order and accessible names."""
import pytest

ROLES = {"button", "slider", "combobox", "listbox", "textbox", "searchbox", "spinbutton", "checkbox", "radio", "progressbar",
         "application", "radiogroup", "switch", "link", "menuitem"}


def nodes(notebook):
    """The accessibility tree under the Explorer, as Chromium computes it."""
    client = notebook.page.context.new_cdp_session(notebook.page)
    client.send("DOM.enable")
    client.send("Accessibility.enable")
    found = client.send("Runtime.evaluate", {"expression": "document.querySelector('.sw-explorer')"})
    tree = client.send("Accessibility.queryAXTree", {"objectId": found["result"]["objectId"]})["nodes"]
    said = []
    for node in tree:
        if node.get("ignored"):
            continue
        flags = {p["name"]: p["value"].get("value") for p in node.get("properties", [])}
        where = {}
        if not node.get("name", {}).get("value", "").strip() and "backendDOMNodeId" in node:
            where = client.send("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})["node"]
        said.append((node["role"]["value"], node.get("name", {}).get("value", "").strip(), flags, where.get("attributes")))
    return said


@pytest.mark.parametrize("family", [
    pytest.param("Gradient", marks=pytest.mark.slow), "Path", pytest.param("CAM", marks=pytest.mark.slow), "Cut"])
def test_everything_has_a_name(demo, family):
    if family != "CAM":
        demo.choose_family(family)
    demo.page.wait_for_timeout(400)
    seen = nodes(demo)
    asked = [(role, name, where) for role, name, flags, where in seen
             if flags.get("focusable") or role.lower() in ROLES]
    assert len(asked) > 20, "the tree was read"
    print(family, len(asked), "controls,", sorted({role for role, *_ in asked}))
    assert [entry for entry in asked if not entry[1]] == []
    assert [name for _, name, _ in asked if name in ("null", "undefined")] == []


def test_tab_reaches_everything(demo):
    page = demo.page
    page.locator(".sw-explorer .sw-status .sw-upload").focus()
    names = []
    for _ in range(60):
        name = page.evaluate("""() => {
          const node = document.activeElement;
          if (!node.closest(".sw-explorer")) return null;
          const at = [".sw-status", ".sw-picture", ".sw-tools", ".sw-names", ".sw-families", ".sw-film", ".sw-name-row",
                      ".sw-params", ".sw-layer", ".sw-head", ".sw-foot"].find((part) => node.closest(part));
          return [at, node.getAttribute("aria-label") ?? node.textContent.trim()];
        }""")
        if name is None:
            break
        names.append(tuple(name))
        page.keyboard.press("Tab")
    else:
        pytest.fail(f"Tab never leaves the Explorer: {names}")
    print(names)
    parts = [part for part, _ in names]
    order = [".sw-status", ".sw-picture", ".sw-tools", ".sw-names", ".sw-families", ".sw-film", ".sw-layer"]
    assert all(part in parts for part in order), f"not reached: {[p for p in order if p not in parts]}"
    assert [parts.index(part) for part in order] == sorted(parts.index(part) for part in order)
    assert len(names) == len(set(names)), "nothing is a stop twice"
    assert parts.count(".sw-names") == 1 and parts.count(".sw-families") == 1, "a group of choices is one stop"


def test_arrows_walk_the_classes(demo):
    page = demo.page
    names = demo.value("[button.description for button in ex.face.classes.names]")
    page.locator(".sw-explorer .sw-names button.sw-on").focus()
    page.keyboard.press("ArrowDown")
    demo.page.wait_for_function("(name) => document.querySelector('.sw-names button.sw-on')?.textContent === name", arg=names[1])
    demo.settle()
    assert demo.value("ex.session.label(ex.target)") == names[1]


def test_the_readout_is_spoken(demo):
    demo.hover(150, 140)
    demo.page.wait_for_function(
        "document.querySelector('.sw-explorer .sw-status-line').textContent.startsWith('150, 140; Grad-CAM')")
