// Prism's languages expect a global of this name: the bundler puts this one in its place.
export { default as Prism } from "prismjs/components/prism-core.js";
