// Builds what the Python package ships: static/explorer.js and .css, static/loader.js,
// which every widget carries, and static/page.js for the stand-alone page.
import { existsSync } from "node:fs";
import { build } from "esbuild";

const out = "../saliency_widgets/static";
const common = {
  bundle: true,
  minify: true,
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  logLevel: "info",
};

await build({ ...common, entryPoints: ["src/main.ts"], format: "esm", outfile: `${out}/explorer.js` });
await build({ ...common, entryPoints: ["src/loader.js"], format: "esm", outfile: `${out}/loader.js` });
await build({ ...common, entryPoints: ["src/explorer.css"], outfile: `${out}/explorer.css` });
if (existsSync("src/page.ts")) {
  await build({ ...common, entryPoints: ["src/page.ts"], format: "iife", outfile: `${out}/page.js` });
}
