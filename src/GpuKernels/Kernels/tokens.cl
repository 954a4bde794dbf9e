// What tokenisers on a device have in common. A group of work items takes a tile of the texts, which lie one behind the other, and leaves its tokens, in
// order, in the tile's slot.

#define GROUP 256

// firsts[tile]: the first text that begins in the tile's window, `history` bytes before it, or later.
__kernel GROUP_SIZE(GROUP) void texts_of_tiles(__global const uint *starts, uint texts, uint tiles, uint tileBytes, uint history, __global uint *firsts)
{
    uint tile = (uint)GROUP_X * GROUP + LOCAL_ID;
    if (tile >= tiles) { return; }
    int from = (int)(tile * tileBytes) - (int)history;
    uint first = 0;
    uint end = texts;
    while (first < end)
    {
        uint middle = first + (end - first) / 2;
        if ((int)starts[middle] < from) { first = middle + 1; }
        else { end = middle; }
    }
    firsts[tile] = first;
}

// The ids of tiles, at slots[tile - firstTile][span], behind those of the tiles before: totals[launch] of them are of launches before this one,
// totals[launch + 1] becomes what is there after it. offsets[t]: where the ids of text t begin; with the last tile also those of texts without a byte at
// the end, and at offsets[texts] and flags[texts] how many ids there are.
__kernel GROUP_SIZE(GROUP) void place_tiles(__global const uint *slots, __global const uint *counts, uint count, uint firstTile, uint tiles,
    uint tileBytes, uint span, __global const uint *starts, uint texts, __global const uint *firsts, __global const uint *before,
    __global uint *totals, uint launch, __global uint *ids, __global uint *offsets, __global uint *flags)
{
    __local uint sums[GROUP];
    uint tile = (uint)GROUP_X;
    uint sum = 0;
    for (uint i = LOCAL_ID; i < tile / 4; i += GROUP)
    {
        uint4 four = ((__global const uint4 *)counts)[i];
        sum += four.x + four.y + four.z + four.w;
    }
    if (LOCAL_ID < (int)(tile & 3u)) { sum += counts[(tile & ~3u) + LOCAL_ID]; }
    uint base;
    before_in_group(sum, &base, sums, GROUP);
    base += totals[launch];
    uint own = counts[tile];
    __global const uint *slot = slots + (ulong)tile * span;
    for (uint i = LOCAL_ID; i < own; i += GROUP) { ids[base + i] = slot[i]; }
    if (LOCAL_ID == 0 && tile + 1 == (uint)GROUPS_X) { totals[launch + 1] = base + own; }

    uint from = (firstTile + tile) * tileBytes;
    int isLast = firstTile + tile + 1 == tiles;
    for (uint i = firsts[firstTile + tile] + LOCAL_ID; i <= texts; i += GROUP)
    {
        uint start = i < texts ? starts[i] : count;
        if (!isLast && start >= from + tileBytes) { break; }
        if (start >= from) { offsets[i] = base + (start < count ? before[i] : own); }
    }
    if (isLast && LOCAL_ID == 0) { flags[texts] = base + own; }
}
