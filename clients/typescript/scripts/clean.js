// Removes a directory of output, so that nothing of a source that is gone is tested or packed.
import { rmSync } from "node:fs";

rmSync(new URL(`../${process.argv[2]}`, import.meta.url), { recursive: true, force: true });
