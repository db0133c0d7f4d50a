import { expect, test } from "vitest";
import { shortened } from "../src/film";

test("a long layer name keeps its end", () => {
  expect(shortened("layer4")).toBe("layer4");
  expect(shortened("features.denseblock3.denselayer7")).toBe("…nselayer7");
  expect(shortened("features.3.conv1")).toBe("…3.conv1");
});
