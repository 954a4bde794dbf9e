// Writes src/GpuKernels/Tokenisation/Unicode/patterns.bin: what the reference's regular expressions and its UnicodeScripts know of each of the 1,112,064 characters beyond
// unicode.bin: scripts, POSIX brackets, and which characters are the same without regard to case.
//   cd bench/parity && npm install && node pattern-tables.mjs     (two minutes)
import { writeFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import reference from 'tokenizers'

const target = new URL('../../src/GpuKernels/Tokenisation/Unicode/patterns.bin', import.meta.url)
const every = [...function* () { for (let c = 0; c < 0x110000; c++) { if (c < 0xd800 || c > 0xdfff) yield c } }()]
const text = String.fromCodePoint
const preTokenizer = stage => reference.Tokenizer.fromString(JSON.stringify({
  version: '1.0', added_tokens: [], model: { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' }, pre_tokenizer: stage,
})).getPreTokenizer()
const splitter = Regex => preTokenizer({ type: 'Split', pattern: { Regex }, behavior: 'Removed', invert: true })
const pieces = (pattern, input) => splitter(pattern).preTokenizeString(input).map(([piece]) => piece)
const isValid = pattern => { try { splitter(pattern); return true } catch { return false } }

const parts = []
for (let at = 0; at < every.length; at += 8192) { parts.push(text(...every.slice(at, at + 8192))) }
function matching(pattern) {
  const found = new Set(), asked = splitter(pattern)
  for (const part of parts) { for (const [piece] of asked.preTokenizeString(part)) { for (const x of piece) { found.add(x.codePointAt(0)) } } }
  return found
}

// The scripts of Unicode 16; those that the reference does not know are left out.
const scripts = `Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian
Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic
Ethiopic Garay Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Gurung_Khema Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited
Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Kirat_Rai Lao Latin Lepcha Limbu Linear_A
Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian
Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Ol_Onal Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian
Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian
Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Sunuwar Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan
Tifinagh Tirhuta Todhri Toto Tulu_Tigalari Ugaritic Unknown Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square`.split(/\s+/).filter(name => isValid(`\\p{${name}}`))
const script = new Uint8Array(0x110000)
scripts.forEach((name, i) => { for (const c of matching(`\\p{${name}}`)) { if (script[c]) { throw new Error(`U+${c.toString(16)} has two scripts`) } script[c] = i + 1 } })
console.log(`${scripts.length} scripts; ${every.filter(c => script[c] === 0).length} characters have none`)


// What CharacterProperties makes of these and of unicode.bin must be what the reference has.
const same = (a, b) => { const [x, y] = [matching(a), matching(b)]; if (x.size !== y.size || ![...x].every(c => y.has(c))) { throw new Error(`${a} is not ${b}`) } }
for (const [a, b] of [['\\d', '\\p{Nd}'], ['[[:digit:]]', '\\p{Nd}'], ['[[:alpha:]]', '\\p{Alphabetic}'], ['[[:alnum:]]', '[\\p{Alphabetic}\\p{Nd}]'], ['[[:punct:]]', '[\\p{P}\\p{S}]'], ['\\p{Punct}', '\\p{P}'],
  ['\\h', '[0-9a-fA-F]'], ['[[:xdigit:]]', '[0-9a-fA-F]'], ['[[:cntrl:]]', '\\p{Cc}'], ['[[:blank:]]', '[\\p{Zs}\\t]'], ['[[:space:]]', '\\s'], ['[[:graph:]]', '[^\\p{Cc}\\p{Cn}\\p{Cs}\\s]'],
  ['[[:print:]]', '[[:graph:]\\p{Zs}]'], ['\\w', '[[:word:]\u00b2\u00b3\u00b9\u00bc\u00bd\u00be]'], ['\\p{Word}', '\\w'], ['[[:upper:]]', '\\p{Uppercase}'], ['[[:lower:]]', '\\p{Lowercase}']]) { same(a, b) }
// The order of their bits.
const sets = ['[[:alpha:]]', '[[:upper:]]', '[[:lower:]]', '[[:word:]]'].map(matching)

// UnicodeScripts: characters of one group stay together; those of group 0 join any.
const byScript = preTokenizer({ type: 'UnicodeScripts' })
const count = input => byScript.preTokenizeString(input).length
const groups = []
const group = new Uint8Array(0x110000)
let last = 0
for (const c of every) {
  if (count(text(c)) === 0) { continue }
  if (last === 0 || count(text(groups[last - 1]) + text(c)) > 1) {
    last = groups.findIndex(one => count(text(one) + text(c)) === 1) + 1
    if (last === 0) { last = groups.push(c) }
  }
  group[c] = last
}

// Which characters match which without regard to case; and which of them a sequence matches.
const cased = new Set()
for (const c of every) {
  const others = [text(c).toLowerCase(), text(c).toUpperCase(), text(c).toUpperCase().toLowerCase()]
  if (others.some(other => other !== text(c))) { cased.add(c); for (const other of others) { if ([...other].length === 1) { cased.add(other.codePointAt(0)) } } }
}
for (const c of matching('[\\p{Lu}\\p{Ll}\\p{Lt}\\p{Lm}\\p{Nl}\\p{So}]')) { cased.add(c) }
const asPattern = c => `\\x{${c.toString(16)}}`
const all = [...cased].sort((a, b) => a - b)
const line = all.map(c => text(c)).join('\n')
for (let at = 0; at < all.length; at += 1000) {
  for (const c of matching(`(?i:[${all.slice(at, at + 1000).map(asPattern).join('')}])`)) { if (!cased.has(c)) { throw new Error(`U+${c.toString(16)} is not among those with a case`) } }
}
const alike = []
const grouped = new Set()
for (const c of all) {
  if (grouped.has(c)) { continue }
  const found = pieces(`(?i:${asPattern(c)})`, line).map(piece => piece.codePointAt(0))
  if (!found.includes(c) && found.length > 0) { throw new Error(`U+${c.toString(16)} does not match itself`) }
  if (found.length > 1) { alike.push(found); for (const other of found) { grouped.add(other) } }
}
const sequences = []
for (const c of all) {
  for (const sequence of new Set([text(c).toLowerCase(), text(c).toUpperCase().toLowerCase()])) {
    if ([...sequence].length > 1 && pieces(`(?i:${asPattern(c)})`, `!${sequence}!`)[0] === sequence) { sequences.push([c, [...sequence].map(x => x.codePointAt(0))]) }
  }
}

// Little-endian; numbers as LEB128.
const out = []
const number = n => { while (n > 127) { out.push((n & 127) | 128); n = Math.floor(n / 128) } out.push(n) }
const runs = value => {
  const made = []
  for (let c = 0, start = 0; c <= 0x110000; c++) { if (c === 0x110000 || value(c) !== value(start)) { made.push([c - start, value(start)]); start = c } }
  number(made.length)
  for (const [length, of] of made) { number(length); number(of) }
  return made.length
}
number(scripts.length)
for (const name of scripts) { const plain = Buffer.from(name.toLowerCase().replaceAll('_', '')); number(plain.length); out.push(...plain) }
const flags = new Uint8Array(0x110000)
sets.forEach((set, i) => { for (const c of set) { flags[c] |= 1 << i } })
console.log(`${runs(c => script[c])} runs of ${scripts.length} scripts, ${runs(c => flags[c])} of sets, ${runs(c => group[c])} of ${groups.length} groups of UnicodeScripts`)
number(alike.length)
for (const found of alike) { number(found.length); for (const c of found) { number(c) } }
number(sequences.length)
for (const [c, sequence] of sequences) { number(c); number(sequence.length); for (const x of sequence) { number(x) } }
const packed = deflateRawSync(Uint8Array.from(out), { level: 9 })
writeFileSync(target, packed)
console.log(`${alike.length} groups of cases, ${sequences.length} with a sequence; ${out.length} bytes, ${packed.length} packed`)
