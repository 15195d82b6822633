// Bundles the page into dist/, which is committed: `npm ci && npm run build`. CI builds it anew and compares.
import { readFileSync, rmSync, mkdirSync, writeFileSync, copyFileSync } from "node:fs";
import { build } from "esbuild";

const out = process.argv[2] ?? "dist";
const modules = {
  "@tanstack/virtual-core": "LICENSE",
  diff: "LICENSE",
  prismjs: "LICENSE",
  uplot: "LICENSE",
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const result = await build({
  entryPoints: { app: "src/app.js" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome122", "firefox121", "safari17.4"],
  inject: ["src/prism.js"],
  legalComments: "none",
  charset: "utf8",
  metafile: true,
  logLevel: "warning",
});
copyFileSync("src/index.html", `${out}/index.html`);

// Whatever is in the bundle has its licence in the list.
const used = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
  if (name) used.add(name);
}
const missing = [...used].filter((name) => !(name in modules));
if (missing.length > 0) throw new Error(`no licence is listed of ${missing.join(", ")}`);

let text = "The inspector page of aiproxy is made with these libraries.\n";
for (const [name, file] of Object.entries(modules)) {
  const about = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  const licence = readFileSync(`node_modules/${name}/${file}`, "utf8").replaceAll("\r\n", "\n").trim();
  text += `\n${"=".repeat(80)}\n${name} ${about.version} (${about.license})\n\n${licence}\n`;
}
writeFileSync(`${out}/licences.txt`, text);
