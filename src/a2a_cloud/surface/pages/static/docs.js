// The documentation page works without this; with it, code can be copied by a button.

import { addCopyButtons } from "./copy.js";

addCopyButtons(document);
