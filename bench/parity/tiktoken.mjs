// Records of npm's tiktoken: `node tiktoken.mjs ENCODING|PATTERN-NAME ranks|corpora|codepoints|hostile|fuzz [CASES [SEED]]`; run by bench/parity/run.
import { createRequire } from "node:module";
import { writeSync } from "node:fs";
import { codePoints, corpora, fuzz, hostile, Random } from "./texts.mjs";
import { end, record } from "./stream.mjs";

const require = createRequire(import.meta.url);
const { Tiktoken } = require("tiktoken");
const [encoding, what, cases = "10000000", seed = "1"] = process.argv.slice(2);

const file = require(`tiktoken/encoders/${encoding}.json`);
if (what === "ranks") {
    for (const line of file.bpe_ranks.split("\n").filter(line => line.length > 0)) {
        const [, first, ...tokens] = line.split(" ");
        writeSync(1, tokens.map((token, i) => `${token} ${Number(first) + i}\n`).join(""));
    }
    process.exit(0);
}

const reference = new Tiktoken(file.bpe_ranks, file.special_tokens, file.pat_str);
const emit = text => record(text, reference.encode(text, [], []));
switch (what) {
    case "corpora": for (const [, text] of corpora(Number(seed), 400_000)) { emit(text); } break;
    case "codepoints": for (const text of codePoints()) { emit(text); } break;
    // Its time grows with the square of a piece.
    case "hostile": for (const length of [1, 2, 63, 64, 65, 66, 1000, 4000]) { for (const text of hostile(length)) { emit(text); } } break;
    case "fuzz": { const random = new Random(Number(seed)); for (let i = 0; i < Number(cases); i++) { emit(fuzz(random)); } break; }
    default: throw new Error(`unknown: ${what}`);
}
end();
