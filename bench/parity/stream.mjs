// Records for `Platform.Kernels parity`: [bytes of the text][text in UTF-8][count][ids], 32-bit little-endian numbers, to standard output.
import { writeSync } from "node:fs";

const size = 1 << 22;
let buffer = Buffer.allocUnsafe(size);
let used = 0;

function flush() {
    for (let at = 0; at < used;) {
        try { at += writeSync(1, buffer, at, used - at); }
        catch (error) { if (error.code !== "EAGAIN") { throw error; } }
    }
    used = 0;
}

export function record(text, ids) {
    const most = 8 + text.length * 3 + ids.length * 4;
    if (used + most > buffer.length) {
        flush();
        if (most > buffer.length) { buffer = Buffer.allocUnsafe(most); }
    }
    const bytes = buffer.write(text, used + 4, "utf8");
    buffer.writeInt32LE(bytes, used);
    used += 4 + bytes;
    buffer.writeInt32LE(ids.length, used);
    used += 4;
    for (let i = 0; i < ids.length; i++, used += 4) { buffer.writeInt32LE(ids[i], used); }
}

export const end = flush;
