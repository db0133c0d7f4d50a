"""Another picture, errors, reload and the end: the Explorer stays usable and leaves nothing behind."""
import base64
import io

import numpy as np
import pytest
from PIL import Image

DROP = """([name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), files = new DataTransfer();
  files.items.add(new File([bytes], name, {type}));
  const over = document.querySelector(".sw-explorer .sw-over");
  for (const kind of ["dragenter", "dragover", "drop"])
    over.dispatchEvent(new DragEvent(kind, {dataTransfer: files, bubbles: true, cancelable: true}));
}"""
CAUGHT = """
def caught(code):
    try:
        exec(code, globals())
    except Exception as error:
        return [kind.__name__ for kind in type(error).__mro__], str(error)
    return [], "no error"
"""
OURS = """window.swHeld.filter(([type, signal]) => !signal.aborted && (type.startsWith("sw-") || type === "keydown")).length"""


def stripes(seed, kind="PNG"):
    """A picture that nothing else looks like."""
    rows = np.random.default_rng(seed).integers(0, 255, (28, 1, 3)).repeat(8, 0).repeat(224, 1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(rows).save(file, kind)
    return rows, file.getvalue()


def drop(notebook, name, data, kind="image/png"):
    notebook.page.evaluate(DROP, [name, kind, base64.b64encode(data).decode()])


def wait_picture(notebook, expected):
    """Wait until the kernel has that picture and the stage shows it."""
    notebook.until(f"ex.session.picture.shown[::8, 0].tolist() == {expected[::8, 0].tolist()}")
    notebook.settle()
    notebook.page.wait_for_timeout(300)
    notebook.page.locator(".sw-explorer .sw-over").focus()
    notebook.page.keyboard.down("b")
    notebook.page.wait_for_timeout(200)
    canvas = notebook.canvas()[..., :3]
    notebook.page.keyboard.up("b")
    at = ((np.arange(224) + 0.5) / 224 * canvas.shape[0]).astype(int)
    assert np.abs(canvas[at][:, at] - expected).mean() < 8, "the stage shows another picture"


def usable(notebook):
    """A click on a class still gives its map."""
    names = notebook.value("[button.description for button in ex.face.classes.names]")
    notebook.choose_class(names[1])
    assert notebook.value("ex.error") == ""
    expected = notebook.array("ex.face.layers[0].decode()")
    assert notebook.hover(120, 90)["Grad-CAM"] == pytest.approx(expected[90, 120], abs=1e-12)


def test_drop_a_file_on_the_stage(demo):
    pixels, data = stripes(1)
    drop(demo, "stripes.png", data)
    wait_picture(demo, pixels)
    assert demo.value("ex.error") == ""
    drop(demo, "notes.png", b"no picture at all")
    demo.page.wait_for_selector(".sw-explorer .sw-status.sw-error")
    said = demo.status()
    print("status:", said)
    assert "notes.png" in said and "PNG or JPEG" in said and "\n" not in said.strip()
    demo.shot("error", ".sw-explorer .sw-status")
    assert demo.page.locator(".sw-explorer .sw-details-button").is_visible()
    demo.page.locator(".sw-explorer .sw-details-button").click()
    demo.page.wait_for_selector(".sw-explorer .sw-details pre:visible")
    demo.page.locator(".sw-explorer .sw-details-button").click()
    assert (demo.array("ex.session.picture.shown") == pixels).all(), "the picture from before stays"
    usable(demo)
    assert demo.page.locator(".sw-explorer .sw-status.sw-error").count() == 0, "the error goes with the next wish"


def test_a_truncated_file(demo):
    _, data = stripes(2)
    before = demo.array("ex.session.picture.shown")
    drop(demo, "half.png", data[: len(data) // 2])
    demo.page.wait_for_selector(".sw-explorer .sw-status.sw-error")
    assert "half.png" in demo.status()
    assert (demo.array("ex.session.picture.shown") == before).all()
    usable(demo)


def test_upload(demo):
    pixels, _ = stripes(3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    for _ in range(2):  # the same file once more is heard, too
        with demo.page.expect_file_chooser() as chooser:
            demo.page.locator(".sw-explorer .sw-upload").click()
        chooser.value.set_files({"name": "stripes.png", "mimeType": "image/png", "buffer": file.getvalue()})
        wait_picture(demo, pixels)
        demo.run("ex.image = sw.demo()[1]\nassert ex.wait(60)")


def test_errors_show_in_python_and_in_words(demo):
    demo.run(CAUGHT)
    for code, error, words in [("ex.target = 10**6", "LookupError", "1000000"),
                               ("ex.target = 'a teapot'", "LookupError", "teapot"),
                               ("ex.method = 'magic'", "LookupError", "magic"),
                               ("ex.image = 'no/such/file.png'", "FileNotFoundError", "no/such/file.png"),
                               ("ex.params['integrated_gradients'].steps = -3", "ValueError", "steps")]:
        kinds, message = demo.value(f"caught({code!r})")
        assert error in kinds and words in message, (code, kinds, message)
        demo.page.wait_for_function(
            "(words) => document.querySelector('.sw-explorer .sw-status.sw-error')?.innerText.includes(words)", arg=words)
        print(f"{code}: {demo.status()}")
        assert "Traceback" not in demo.status()
    usable(demo)


def test_reload_with_the_kernel_alive(demo):
    demo.choose_class(demo.value("ex.face.classes.names[1].description"))
    demo.command("docmanager:save")
    target, value = demo.value("ex.target"), demo.hover(150, 140)["Grad-CAM"]
    picture = demo.canvas()
    demo.page.reload()
    demo.ready()
    demo.first_sight()
    demo.page.mouse.move(1, 1)
    assert demo.value("ex.target") == target
    assert demo.hover(150, 140)["Grad-CAM"] == value
    again = demo.canvas()
    assert again.shape == picture.shape and np.abs(again - picture).mean() < 1, "picture and map are back"
    usable(demo)


def test_two_views_of_one_explorer(demo):
    """The second view gets every map, and closing one leaves the other working."""
    demo.page.evaluate("""async () => {
      const app = window.jupyterapp, widget = app.shell.currentWidget;
      await app.commands.execute("notebook:insert-cell-below");
      widget.content.activeCell.model.sharedModel.setSource("ex");
      await app.commands.execute("notebook:run-cell");
    }""")
    demo.page.wait_for_function("document.querySelectorAll('.sw-explorer .sw-picture[data-painted]').length === 2")
    demo.command("notebook:delete-cell")
    demo.page.wait_for_function("document.querySelectorAll('.sw-explorer').length === 1")
    demo.page.locator(".sw-explorer").first.evaluate("(node) => node.scrollIntoView({block: 'start'})")
    usable(demo)


def test_clear_output_leaves_nothing(demo):
    demo.hover(60, 60)
    held = demo.page.evaluate(OURS)
    assert held > 0, "the Explorer listens"
    demo.command("editmenu:clear-all")
    demo.page.wait_for_function("!document.querySelector('.sw-explorer')")
    demo.page.wait_for_timeout(500)
    assert demo.page.evaluate(OURS) == 0, "no listener outlives its view"
    demo.run("ex.target = int(ex.session.logits.argsort()[-2]); assert ex.wait(30); ex.face.layers[0].opacity = 0.3")
    demo.page.keyboard.press("v")
    demo.page.wait_for_timeout(500)
    assert demo.errors == []
