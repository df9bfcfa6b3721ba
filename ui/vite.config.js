// How the page is built: three files with fixed names, the same bytes from the same source, nothing
// inside the HTML. The daemon tells versions apart by their content (ETag), so names need no hash.

import { defineConfig } from "vite";

export default defineConfig({
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: "assets/page.js",
        assetFileNames: (asset) => `assets/${asset.names[0]?.endsWith(".css") ? "page" : "[name]"}[extname]`,
        inlineDynamicImports: true,
      },
    },
  },
});
