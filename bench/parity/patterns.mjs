// Random regular expressions, and what npm's tokenizers makes of random texts with them: `node patterns.mjs CASES SEED`; run by bench/parity/run-patterns.
// A record's text is a digit for the behaviour of a Split, a digit for its invert, the expression, U+0000 and the text; its numbers are the ends of the Split's pieces, each
// pair in Unicode scalar values, -1, and the characters that a Replace of each match by < > makes; or -2, where the reference refuses the expression.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Random } from "./texts.mjs";
import { end, record } from "./stream.mjs";

const require = createRequire(import.meta.url);
const { Tokenizer } = require("tokenizers");
const [cases = "20000", seed = "1"] = process.argv.slice(2);
let random = new Random(Number(seed));
export const behaviours = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"];
const textsOfPattern = 8;

const letters = ["a", "a", "a", "b", "b", "c", "A", "B", "k", "K", "\u212a", "s", "S", "\u017f", "t", "i", "I", "\u0130", "\u0131", "\u00df", "\u1e9e", "\u03c3", "\u03c2", "\u03a3", "\u00e9", "\u00c9", "\u01c5",
    "1", "2", "\u00b2", "\u0663", " ", " ", "\n", "\r", "\t", "\u00a0", "_", "'", "-", ".", "!", "+", "\u4e2d", "\u3042", "\u0430", "\u{1f642}", "\u0301", "\u0e01"];
const quoted = letter => /[\\^$.|?*+()[\]{}\-&]/.test(letter) ? `\\${letter}` : letter;
const properties = ["L", "Lu", "Ll", "N", "Nd", "P", "S", "M", "Z", "C", "^L", "Han", "Latin", "Hiragana", "Cyrillic", "Alphabetic", "Letter", "Word", "Punct", "Any", "Upper", "alnum", "White_Space"];
const sets = ["\\s", "\\S", "\\d", "\\D", "\\w", "\\W", "\\h", "\\H"];
const posix = ["alpha", "digit", "upper", "lower", "punct", "space", "alnum", "word", "blank", "xdigit", "graph", "print", "cntrl", "ascii", "^alpha", "^space", "^word"];
const pick = (...ways) => random.of(ways)();
const property = () => `\\${random.below(4) ? "p" : "P"}{${random.of(properties)}}`;

function inClass(depth) {
    let content = "";
    for (let n = 1 + random.below(4); n > 0; n--) {
        content += pick(() => quoted(random.of(letters)), () => quoted(random.of(letters)), () => random.of(["a-c", "A-Z", "a-z", "0-9", "\\x{4e00}-\\x{9fa5}", "\\u00e0-\\u00ff", "!-/", "\\t-\\r"]),
            () => random.of(sets), property, () => `[:${random.of(posix)}:]`, () => depth > 0 ? bracketed(depth - 1) : "b");
    }
    return content + (random.below(10) === 0 ? `&&${depth > 0 ? bracketed(depth - 1) : "a-z"}` : "") + (random.below(12) === 0 ? "-" : "");
}
const bracketed = depth => `[${random.below(3) === 0 ? "^" : ""}${inClass(depth)}]`;

const atom = depth => pick(
    () => quoted(random.of(letters)), () => quoted(random.of(letters)), () => quoted(random.of(letters)) + quoted(random.of(letters)), () => ".", () => random.of(sets), property, () => bracketed(2), () => bracketed(1),
    () => depth > 0 ? `(${alternatives(depth - 1)})` : "a", () => depth > 0 ? `(?:${alternatives(depth - 1)})` : "b", () => depth > 0 ? `(?${random.of(["i", "m", "im", "-i", "i-m"])}:${alternatives(depth - 1)})` : "c",
    () => depth > 0 && random.below(3) === 0 ? `(?>${alternatives(depth - 1)})` : "a");
const place = depth => pick(() => "^", () => "$", () => "\\A", () => "\\z", () => "\\Z", () => "\\b", () => "\\B", () => `(?=${alternatives(Math.max(0, depth - 1))})`, () => `(?!${alternatives(Math.max(0, depth - 1))})`,
    () => `(?!${random.of(sets)})`, () => `(?<=${random.of(["a", "\\s", "[ab]", "a|b", "\\p{L}", "\\n", "ab", "a|bc|aab", "\\s\\p{L}", ".."])})`, () => `(?<!${random.of(["a", "\\s", "[^ab]", "a|\\d", "\\p{L}", "aa", "a|ba", "\\w\\S.|b"])})`);
const quantifier = () => random.of(["", "", "", "", "*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,2}", "{,2}", "{2,}", "{0,3}?", "{1,}?", "{1,3}"]);

function sequence(depth) {
    let made = "";
    for (let n = random.below(8) === 0 ? 0 : 1 + random.below(3); n > 0; n--) { made += random.below(6) === 0 ? place(depth) : atom(depth) + quantifier(); }
    return made;
}

function alternatives(depth) {
    const made = [sequence(depth)];
    while (random.below(3) === 0 && made.length < 4) { made.push(sequence(depth)); }
    return made.join("|");
}

function text() {
    let made = "";
    const few = Array.from({ length: 1 + random.below(5) }, () => random.of(letters));
    for (let n = random.below(random.below(10) === 0 ? 30 : 14); n > 0; n--) { made += random.below(4) ? random.of(few) : random.of(letters); }
    return made;
}

/** A tokenizer with a Split and a Replace by the expression; undefined where the reference refuses it. */
export function tokenizer(pattern, behavior, invert) {
    try {
        return Tokenizer.fromString(JSON.stringify({
            version: "1.0", added_tokens: [], model: { type: "WordLevel", vocab: { a: 0 }, unk_token: "a" }, normalizer: { type: "Replace", pattern: { Regex: pattern }, content: "<>" },
            pre_tokenizer: { type: "Split", pattern: { Regex: pattern }, behavior, invert },
        }));
    } catch { return undefined; }
}

/** [expression, behaviour, invert, texts] */
export function* expressions(seed) {
    random = new Random(seed);
    for (;;) { yield [(random.below(8) === 0 ? "(?i)" : "") + alternatives(1 + random.below(3)), random.below(behaviours.length), random.below(2), Array.from({ length: textsOfPattern }, text)]; }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
    let done = 0;
    for (const [pattern, behaviour, invert, texts] of expressions(Number(seed))) {
        if (done >= Number(cases)) { break; }
        const made = tokenizer(pattern, behaviours[behaviour], invert === 1);
        const head = `${behaviour}${invert}${pattern}\0`;
        if (made === undefined) { record(head, [-2]); done++; continue; }
        const [normalizer, splitter] = [made.getNormalizer(), made.getPreTokenizer()];
        for (const one of texts) {
            record(head + one, [...splitter.preTokenizeString(one).flatMap(([, offsets]) => offsets), -1, ...[...normalizer.normalizeString(one)].map(character => character.codePointAt(0))]);
            done++;
        }
    }
    end();
}
