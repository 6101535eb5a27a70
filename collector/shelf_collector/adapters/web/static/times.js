// A page that only has times to show as this place writes them.

import { localTimes } from "./live.js";

localTimes(document);
