// A charsmap of SentencePiece's Precompiled normaliser: a double array of keys (darts-clone's units), then their replacements, each ended by a zero.

/** @param entries [key, replacement] each, keys different from one another. */
export function charsmap(entries) {
    const values = [], root = { next: new Map() };
    for (const [key, value] of entries) {
        let node = root;
        for (const byte of Buffer.from(key)) {
            if (!node.next.has(byte)) { node.next.set(byte, { next: new Map() }); }
            node = node.next.get(byte);
        }
        node.value = values.length;
        values.push(...Buffer.from(value), 0);
    }

    const units = [0], used = new Set([0]);
    let from = 1;
    const place = (node, at) => {
        const labels = [...node.next.keys(), ...(node.value === undefined ? [] : [0])];
        while (used.has(from)) { from++; }
        // An offset is stored in 21 bits, so its base differs from the place itself only there.
        let base = from ^ labels[0];
        while (base === at || labels.some(label => used.has(base ^ label))) { base++; }
        units[at] = ((units[at] ?? 0) | ((base ^ at) << 10) | (node.value === undefined ? 0 : 256)) >>> 0;
        for (const label of labels) { used.add(base ^ label); }
        if (node.value !== undefined) { units[base] = (0x80000000 | node.value) >>> 0; }
        for (const [label] of node.next) { units[base ^ label] = label; }
        for (const [label, child] of node.next) { place(child, base ^ label); }
    };
    place(root, 0);
    // As long as any place that a search may come to.
    const size = (units.length | 255) + 1;
    const head = Buffer.alloc(4 + size * 4);
    head.writeUInt32LE(size * 4, 0);
    units.forEach((unit, i) => head.writeUInt32LE(unit, 4 + 4 * i));
    return [...head, ...values];
}
