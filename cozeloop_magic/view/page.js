/* What every view of a run or of many needs of the page. It stands before the view's own script (see widget.py). */

function element(parent, tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  parent.append(node);
  return node;
}

/* The control channel is the way that works while a cell runs, and meets this run alone (see control.py). */
function control(kernel, name, ask) {
  if (!name) throw new Error("this kernel has no control channel");
  const msg_id = `${name}-${Date.now()}`;
  const date = new Date().toISOString();
  const { clientId: session, username } = kernel;
  const header = { msg_id, msg_type: "cozeloop_stop", session, username, date, version: "5.3" };
  const message = { channel: "control", header, parent_header: {}, metadata: {}, content: { name, ask }, buffers: [] };
  kernel.sendControlMessage(message, false, true).done.catch(() => {});
}

/* One way after the other, where the front end does not have one, or a second has passed without effect. A run behind
   other cells must not interrupt those. */
async function stop(model, alive) {
  const kernel = model.widget_manager?.kernel;
  const ways = [() => control(kernel, model.get("control")), () => model.send("stop")];
  if (!model.get("behind")) ways.splice(1, 0, () => kernel.interrupt());
  for (const way of ways) {
    try {
      await way();
      await new Promise((resolve) => setTimeout(resolve, 1000));
    } catch {}
    if (!alive()) return;
  }
}

/* What does not end a run is asked for where it is heard first. */
function ask(model, what) {
  try {
    control(model.widget_manager?.kernel, model.get("control"), what);
  } catch {
    model.send({ ask: what });
  }
}

/* A kernel that is gone sends no end. */
const GONE = ["restarting", "autorestarting", "terminating", "dead"];

function onKernelGone(kernel, act) {
  const look = (_, status) => GONE.includes(status) && act();
  kernel?.statusChanged?.connect(look);
  return () => kernel?.statusChanged?.disconnect(look);
}

/* An answer that grows pushes its buttons down: without the capture, a click is lost where the button has moved on
   between press and release. */
function button(parent, label, title, act) {
  const node = element(parent, "button", "cozeloop-button", label);
  node.type = "button";
  node.setAttribute("aria-label", title);
  node.title = title;
  node.addEventListener("pointerdown", (event) => node.setPointerCapture(event.pointerId));
  node.addEventListener("click", () => act(node));
  return node;
}
