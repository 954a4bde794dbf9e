// Writes tests/GpuKernels.Tests/Tokenisation/RegularExpressions/Fixtures/patterns.jsonl: what npm's tokenizers makes of regular expressions, those of published files and random
// ones. `npm install` in bench/parity, then `node pattern-fixtures.mjs`.
import { mkdirSync, writeFileSync } from "node:fs";
import { behaviours, expressions, tokenizer } from "./patterns.mjs";
import { fuzz, Random } from "./texts.mjs";
import { published } from "./models.mjs";

const folder = new URL("../../tests/GpuKernels.Tests/Tokenisation/RegularExpressions/Fixtures/", import.meta.url);
mkdirSync(folder, { recursive: true });
const lines = [];
function add(pattern, behaviour, invert, texts, published) {
    const made = tokenizer(pattern, behaviours[behaviour], invert === 1);
    if (made === undefined) { return; }
    const [normalizer, splitter] = [made.getNormalizer(), made.getPreTokenizer()];
    lines.push({ published, pattern, behavior: behaviours[behaviour], invert: invert === 1, texts: texts.map(text => ({ text, pieces: splitter.preTokenizeString(text).map(([piece]) => piece), replaced: normalizer.normalizeString(text) })) });
}

const random = new Random(3);
for (const pattern of Object.values(published)) { add(pattern, 1, 0, Array.from({ length: 25 }, () => fuzz(random)), true); }
let left = 250;
for (const [pattern, behaviour, invert, texts] of expressions(5)) {
    if (left-- === 0) { break; }
    add(pattern, behaviour, invert, texts.slice(0, 2), false);
}
const ascii = text => text.replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
writeFileSync(new URL("patterns.jsonl", folder), lines.map(line => `${ascii(JSON.stringify(line))}\n`).join(""));
