// The keys of editing: tools, undo, size, and what is done to the region under the probe.
import type { EditOp, Tool } from "./types";

export interface EditKeys {
  tool(tool: Tool): void;
  edit(op: EditOp): void;
  size(factor: number): void;
}

export const TOOL_KEYS: Record<string, Tool> = {
  c: "pointer",
  r: "rectangle",
  l: "lasso",
  d: "brush",
  e: "erase",
  s: "split",
  m: "merge",
};
const EDITS: Record<string, EditOp> = {
  u: "undo",
  U: "redo",
  o: "on",
  Delete: "remove",
  Backspace: "remove",
  ">": "grow",
  "<": "shrink",
  f: "finer",
  F: "coarser",
  i: "interactions",
  n: "choose",
};

/** Whether the key means something while regions can be edited, and then does it. */
export function editKey(e: KeyboardEvent, keys: EditKeys): boolean {
  if (e.altKey) return false;
  const letter = e.key.length === 1 ? e.key.toLowerCase() : e.key;
  if (e.ctrlKey || e.metaKey) {
    if (letter === "z") keys.edit(e.shiftKey ? "redo" : "undo");
    else if (letter === "y") keys.edit("redo");
    else return false;
  } else if (EDITS[e.key]) keys.edit(EDITS[e.key]);
  else if (e.key === "[" || e.key === "]") keys.size(e.key === "]" ? 1.25 : 1 / 1.25);
  else if (TOOL_KEYS[letter]) keys.tool(TOOL_KEYS[letter]);
  else return false;
  return true;
}
