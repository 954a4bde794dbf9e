// Writes src/GpuKernels/Tokenisation/Unicode/unicode.bin: what the reference does with each of the 1,112,064 characters.
//   cd bench/parity && npm install && node unicode-tables.mjs
// The reference's crates carry tables of many Unicode versions (categories of 8, decompositions of 10, \w and lower case of 16 and later), so no version of
// the Unicode Character Database gives its ids. The tables are therefore asked of the reference itself, character by character.
import { writeFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import reference from 'tokenizers'
import { charsmap } from './charsmap.mjs'

const target = new URL('../../src/GpuKernels/Tokenisation/Unicode/unicode.bin', import.meta.url)
const every = function* () { for (let c = 0; c < 0x110000; c++) { if (c < 0xd800 || c > 0xdfff) yield c } }
const text = String.fromCodePoint

// The characters that a normaliser changes, and into what.
function changes(normaliser) {
  const found = new Map()
  for (const c of every()) {
    const before = text(c), after = normaliser.normalizeString(before)
    if (after !== before) found.set(c, [...after].map(x => x.codePointAt(0)))
  }
  return found
}

// The characters that a pattern matches: the reference splits a long text of many of them.
function matching(pattern) {
  const splitter = reference.Tokenizer.fromString(JSON.stringify({
    version: '1.0', added_tokens: [], model: { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' },
    pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Removed', invert: true },
  })).getPreTokenizer()
  const found = new Set()
  let batch = []
  const flush = () => { for (const [piece] of splitter.preTokenizeString(batch.join(''))) for (const x of piece) found.add(x.codePointAt(0)); batch = [] }
  for (const c of every()) { batch.push(text(c)); if (batch.length === 4096) flush() }
  flush()
  return found
}

// How a pre-tokeniser treats a character between letters: 'kept' in the word, 'alone', 'dropped'.
function treated(splitter, as) {
  const found = new Set(), pieces = { kept: 1, dropped: 2, alone: 3 }[as]
  for (const c of every()) { if (splitter.preTokenizeString('a' + text(c) + 'a').length === pieces) found.add(c) }
  return found
}

const removed = map => new Set([...map].filter(([, to]) => to.length === 0).map(([c]) => c))
const bert = on => reference.bertNormalizer({ cleanText: false, handleChineseChars: false, stripAccents: false, lowercase: false, ...on })

const nfd = changes(reference.nfdNormalizer()), nfkd = changes(reference.nfkdNormalizer())
const nfc = changes(reference.nfcNormalizer())
const lower = changes(reference.lowercase())

// Canonical combining classes, by which marks stand in order after NFD: first those between 0 and 240, then each among one representative of every class.
const ordered = (first, second) => reference.nfdNormalizer().normalizeString(text(first) + text(second)) === text(first) + text(second)
const representatives = [
  [1, 0x334], [6, 0x16ff0], [7, 0x93c], [8, 0x3099], [9, 0x94d], [10, 0x5b0], [11, 0x5b1], [12, 0x5b2], [13, 0x5b3], [14, 0x5b4], [15, 0x5b5], [16, 0x5b6], [17, 0x5b7],
  [18, 0x5b8], [19, 0x5b9], [20, 0x5bb], [21, 0x5bc], [22, 0x5bd], [23, 0x5bf], [24, 0x5c1], [25, 0x5c2], [26, 0xfb1e], [27, 0x64b], [28, 0x64c], [29, 0x64d],
  [30, 0x64e], [31, 0x64f], [32, 0x650], [33, 0x651], [34, 0x652], [35, 0x670], [36, 0x711], [84, 0xc55], [91, 0xc56], [103, 0xe38], [107, 0xe48], [118, 0xeb8],
  [122, 0xec8], [129, 0xf71], [130, 0xf72], [132, 0xf74], [202, 0x327], [214, 0x1dce], [216, 0x31b], [218, 0x302a], [220, 0x323], [222, 0x59a], [224, 0x302e],
  [226, 0x1d16d], [228, 0x302b], [230, 0x301], [232, 0x315], [233, 0x35c], [234, 0x35d], [240, 0x345],
].filter(([, mark]) => !ordered(0x345, mark) || mark === 0x345)
const classes = new Map([[0x345, 240]])
for (const c of every()) {
  if (nfd.has(c) || ordered(0x345, c)) continue
  // A mark moves before another of a higher class and stays after one of its own or a lower one.
  const own = representatives.filter(([, mark]) => ordered(mark, c) && ordered(c, mark))
  if (own.length !== 1) throw new Error(`U+${c.toString(16)} has ${own.length} classes`)
  classes.set(c, own[0][0])
}

const hangul = c => c >= 0xac00 && c < 0xd7a4
const compositions = []
for (const [c, to] of nfd) {
  if (hangul(c) || nfc.has(c)) continue
  const rest = [...reference.nfcNormalizer().normalizeString(text(...to.slice(0, -1)))].map(x => x.codePointAt(0))
  if (rest.length !== 1) throw new Error(`U+${c.toString(16)} is not composed of two`)
  compositions.push([rest[0], to.at(-1), c])
}

// By the reference's regular expressions.
const categories = ['Cn', 'Lu', 'Ll', 'Lt', 'Lm', 'Lo', 'Mn', 'Mc', 'Me', 'Nd', 'Nl', 'No', 'Pc', 'Pd', 'Ps', 'Pe', 'Pi', 'Pf', 'Po', 'Sm', 'Sc', 'Sk', 'So', 'Zs', 'Zl', 'Zp', 'Cc', 'Cf', 'Co']
const flags = new Uint16Array(0x110000)
categories.forEach((name, i) => { if (i > 0) for (const c of matching(`\\p{${name}}`)) flags[c] |= i })
// How characters cluster, as far as Precompiled shows it: a cluster under six bytes is replaced whole by what its first characters become, a longer one
// character by character. With a, U+0301 and the copyright sign replaced by X, Y and Z, what remains after them tells where a cluster begins.
const clusters = reference.precompiled(charsmap([['a', 'X'], ['\u0301', 'Y'], ['\u00a9', 'Z']]))
// The order of Characters.Flag.
const sets = [
  ['white space', treated(reference.whitespaceSplitPreTokenizer(), 'dropped')],
  ['word', treated(reference.whitespacePreTokenizer(), 'kept')],
  ['numeric', treated(reference.digitsPreTokenizer(true), 'alone')],
  ['punctuation', treated(reference.punctuationPreTokenizer('isolated'), 'alone')],
  ['mark', removed(changes(reference.stripAccentsNormalizer()))],
  ['nonspacing', removed(changes(bert({ stripAccents: true })))],
  ['cleaned', removed(changes(bert({ cleanText: true })))],
  ['extending', new Set([...every()].filter(c => clusters.normalizeString('a' + text(c)) === 'X'))],
  ['prepended', new Set([...every()].filter(c => clusters.normalizeString(text(c) + 'a\u0301').endsWith('Y')))],
  ['control', new Set([...every()].filter(c => !clusters.normalizeString(text(c) + '\u0301\u200d').endsWith('\u200d')))],
  ['pictographic', new Set([...every()].filter(c => clusters.normalizeString(text(c) + '\u200d\u00a9\u0301').endsWith('Y')))],
]
sets.forEach(([, set], i) => { for (const c of set) flags[c] |= 32 << i })

// Little-endian; numbers as LEB128, code points as the difference from the one before.
const out = []
const number = n => { while (n > 127) { out.push((n & 127) | 128); n = Math.floor(n / 128) } out.push(n) }
const signed = n => number(n < 0 ? -n * 2 - 1 : n * 2)
const sorted = map => [...map].sort(([a], [b]) => a - b)
function write(entries, values) {
  number(entries.length)
  let last = 0
  for (const [c, ...rest] of entries) { signed(c - last); values(...rest, c); last = c }
}
const runs = []
for (let c = 0, start = 0; c <= 0x110000; c++) { if (c === 0x110000 || flags[c] !== flags[start]) { runs.push([c - start, flags[start]]); start = c } }
number(runs.length)
for (const [length, value] of runs) { number(length); number(value) }
write(sorted(lower), (to, c) => { number(to.length); for (const x of to) signed(x - c) })
const mapping = (to, c) => { number(to.length); for (const x of to) signed(x - c) }
write(sorted(nfd).filter(([c]) => !hangul(c)), mapping)
write(sorted(nfkd).filter(([c, to]) => !hangul(c) && !(nfd.has(c) && nfd.get(c).join() === to.join())), mapping)
write(sorted(classes), value => number(value))
write(compositions.sort((a, b) => a[0] - b[0] || a[1] - b[1]), (second, composed) => { number(second); number(composed) })
const packed = deflateRawSync(Uint8Array.from(out), { level: 9 })
writeFileSync(target, packed)
console.log(`${runs.length} runs, ${lower.size} lower, ${nfd.size} NFD, ${nfkd.size} NFKD, ${classes.size} classes, ${compositions.length} compositions`)
for (const [name, set] of sets) console.log(`${name}: ${set.size}`)
console.log(`${out.length} bytes, ${packed.length} packed`)
