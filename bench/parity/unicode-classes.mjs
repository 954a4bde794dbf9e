// Writes src/GpuKernels/Tokenisation/Bpe/UnicodeClasses.Data.cs: the classes that the pre-tokenisers' patterns name, of every code point,
// as the Rust package of Hugging Face (Oniguruma inside) answers them. `node bench/parity/unicode-classes.mjs` after `npm install` there.
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const { Tokenizer } = require("tokenizers");

// The order is the class's number in UnicodeClasses.cs; what matches none of them is 0.
const classes = ["[\\p{Lu}\\p{Lt}]", "\\p{Ll}", "[\\p{Lm}\\p{Lo}]", "\\p{M}", "\\p{N}", "\\s"];
const separator = "\u0001";

const scalars = [];
for (let codePoint = 0; codePoint < 0x110000; codePoint++) {
    if (codePoint < 0xd800 || codePoint > 0xdfff) { scalars.push(codePoint); }
}

const found = new Uint8Array(0x110000);
classes.forEach((pattern, index) => {
    const split = { type: "Split", pattern: { Regex: pattern }, behavior: "Removed", invert: true };
    const preTokenizer = Tokenizer.fromString(JSON.stringify({
        version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: split,
        post_processor: null, decoder: null, model: { type: "BPE", vocab: {}, merges: [] },
    })).getPreTokenizer();
    for (let start = 0; start < scalars.length; start += 4096) {
        const text = scalars.slice(start, start + 4096).map(codePoint => String.fromCodePoint(codePoint)).join(separator);
        for (const [piece] of preTokenizer.preTokenizeString(text)) {
            const codePoint = piece.codePointAt(0);
            if (found[codePoint] !== 0) { throw new Error(`two classes hold U+${codePoint.toString(16)}`); }
            found[codePoint] = index + 1;
        }
    }
});

// Runs: the low three bits are the class, the rest the length of the run less one; base-128, low group first.
const bytes = [];
for (let start = 0; start < found.length;) {
    let end = start + 1;
    while (end < found.length && found[end] === found[start]) { end++; }
    let value = (end - start - 1) * 8 + found[start];
    for (; value >= 128; value = Math.floor(value / 128)) { bytes.push(value % 128 + 128); }
    bytes.push(value);
    start = end;
}

const lines = Buffer.from(bytes).toString("base64").match(/.{1,160}/g).map(line => `        "${line}"`).join(" +\n");
writeFileSync(fileURLToPath(new URL("../../src/GpuKernels/Tokenisation/Bpe/UnicodeClasses.Data.cs", import.meta.url)), `namespace Platform.GpuKernels.Tokenisation.Bpe;

// Written by bench/parity/unicode-classes.mjs; not edited by hand.
internal static partial class UnicodeClasses
{
    /// <summary>Unicode 16.0. Runs in the order of code points: the low three bits are the class, the rest is the run's length less one; base-128, low group first.</summary>
    private const string Runs =
${lines};
}
`);
console.log(`${bytes.length} bytes`);
