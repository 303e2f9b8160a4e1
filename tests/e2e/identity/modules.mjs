// Packages from target/test-node, where scripts/setup-test.sh installs them, so that nothing is installed into the source tree.
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = process.env.ADIT_TEST_NODE ?? fileURLToPath(new URL('../../../target/test-node', import.meta.url));

/** A package, or a file of one. */
export function load(name) {
  if (!existsSync(join(root, 'node_modules'))) {
    console.error(`nothing is installed in ${root}: run sh scripts/setup-test.sh`);
    process.exit(1);
  }
  const found = createRequire(join(root, 'package.json')).resolve(name);
  return import(pathToFileURL(found).href);
}
