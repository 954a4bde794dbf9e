// What tokenisers on a device have in common: each leaves at the first place of every word or piece how many tokens it has (counts), and the
// tokens from there on (found), where as many places are its own; here they are laid one behind the other, and cut and framed for an encoder.

#define GROUP 256

// In place: of each total the sum of those before it, and at the end, at [count], the sum of all. One group.
__kernel GROUP_SIZE(GROUP) void scan_totals(__global uint *totals, uint count)
{
    __local uint sums[GROUP];
    uint each = (count + GROUP - 1) / GROUP;
    uint from = each * LOCAL_ID < count ? each * LOCAL_ID : count;
    uint end = each < count - from ? from + each : count;
    uint own = 0;
    for (uint i = from; i < end; i++) { own += totals[i]; }
    uint all;
    uint sum = before_in_group(own, &all, sums, GROUP);
    for (uint i = from; i < end; i++)
    {
        uint value = totals[i];
        totals[i] = sum;
        sum += value;
    }
    if (LOCAL_ID == 0) { totals[count] = all; }
}

// totals[group] = tokens of the words that begin in the group.
__kernel GROUP_SIZE(GROUP) void count_tokens(__global const uint *counts, uint count, __global uint *totals)
{
    __local uint sums[GROUP];
    uint at = (uint)GROUP_X * GROUP + LOCAL_ID;
    uint all;
    before_in_group(at < count ? counts[at] : 0u, &all, sums, GROUP);
    if (LOCAL_ID == 0) { totals[GROUP_X] = all; }
}

// The tokens one behind the other, and of each place how many tokens come before it.
__kernel GROUP_SIZE(GROUP) void scatter(__global const uint *counts, uint count, __global const uint *totals, __global const uint *found,
    __global uint *ids, __global uint *before)
{
    __local uint sums[GROUP];
    uint at = (uint)GROUP_X * GROUP + LOCAL_ID;
    int there = at < count;
    uint own = there ? counts[at] : 0u;
    uint all;
    uint to = totals[GROUP_X] + before_in_group(own, &all, sums, GROUP);
    if (there)
    {
        before[at] = to;
        for (uint i = 0; i < own; i++) { ids[to + i] = found[at + i]; }
    }
}

// offsets[t]: where the tokens of text t begin, of which the first place is starts[t]; a work item for each text, and one more.
__kernel GROUP_SIZE(GROUP) void text_offsets(__global const uint *starts, uint texts, uint count, __global const uint *before,
    __global const uint *totals, uint groups, __global uint *offsets)
{
    uint text = (uint)GROUP_X * GROUP + LOCAL_ID;
    if (text > texts) { return; }
    uint at = text < texts ? starts[text] : count;
    offsets[text] = at < count ? before[at] : totals[groups];
}

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
    for (uint i = LOCAL_ID; i < tile; i += GROUP) { sum += counts[i]; }
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
