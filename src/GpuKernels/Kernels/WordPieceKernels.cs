using System.Text;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>The module wordpiece.cl and its references.</summary>
internal static class WordPieceKernels
{
    public const int Group = 256;

    private const byte Inside = 0, Letter = 1, Single = 2, Gap = 3;

    public static readonly KernelModule Module = new(
        "wordpiece",
        ("measure", Measure),
        ("scan_totals", ScanTotals),
        ("normalise", Normalise),
        ("match", Match),
        ("count_tokens", CountTokens),
        ("scatter", Scatter),
        ("text_offsets", TextOffsets));

    private static uint EntryAt(ReadOnlySpan<byte> text, int at, ReadOnlySpan<ushort> pages, ReadOnlySpan<uint> entries, out int bytes)
    {
        bytes = 0;
        if ((text[at] & 0xC0) == 0x80) { return 0; }

        _ = Rune.DecodeFromUtf8(text[at..], out var rune, out bytes);
        return entries[(pages[rune.Value >> 8] * 256) + (rune.Value & 255)];
    }

    private static int Length(uint entry, int bytes) => (entry & BertCharacters.Kept) != 0 ? bytes : (int)(entry >> 22 & 15);

    private static void Measure(CpuLaunch launch)
    {
        var count = launch.Int(1);
        var text = launch.Buffer<byte>(0)[..count];
        var totals = launch.Buffer<uint>(4);
        totals[..launch.Grid.X].Clear();
        for (var at = 0; at < count; at++)
        {
            var entry = EntryAt(text, at, launch.Buffer<ushort>(2), launch.Buffer<uint>(3), out var bytes);
            if ((entry & BertCharacters.Special) != 0) { launch.Buffer<uint>(5)[0]++; }
            totals[at / Group] += (uint)Length(entry, bytes);
        }
    }

    private static void ScanTotals(CpuLaunch launch)
    {
        var totals = launch.Buffer<uint>(0);
        var carried = 0u;
        for (var i = 0; i < launch.Int(1); i++) { (totals[i], carried) = (carried, carried + totals[i]); }

        totals[launch.Int(1)] = carried;
    }

    private static void Normalise(CpuLaunch launch)
    {
        var count = launch.Int(1);
        var text = launch.Buffer<byte>(0)[..count];
        var normal = launch.Buffer<byte>(6);
        var classes = launch.Buffer<byte>(7);
        var to = 0;
        for (var at = 0; at < count; at++)
        {
            var entry = EntryAt(text, at, launch.Buffer<ushort>(2), launch.Buffer<uint>(3), out var bytes);
            var length = Length(entry, bytes);
            var from = (entry & BertCharacters.Kept) != 0 ? text.Slice(at, length) : launch.Buffer<byte>(4).Slice((int)(entry & 0x3F_FFFF), length);
            launch.Buffer<uint>(8)[at] = (uint)to;
            foreach (var value in from)
            {
                classes[to] = (value & 0xC0) == 0x80 ? Inside : (entry & BertCharacters.Space) != 0 ? Gap : (entry & BertCharacters.Alone) != 0 ? Single : Letter;
                normal[to++] = value;
            }
        }
    }

    private static void Match(CpuLaunch launch)
    {
        var count = (int)launch.Buffer<uint>(2)[launch.Int(3)];
        var normal = launch.Buffer<byte>(0)[..count];
        var classes = launch.Buffer<byte>(1)[..count];
        var found = launch.Buffer<uint>(13);
        var counts = launch.Buffer<uint>(14);
        counts[..count].Clear();
        var (begin, goOn) = (Table(launch, 4), Table(launch, 6));
        var before = Gap;
        for (var at = 0; at < count; at++)
        {
            var own = classes[at];
            if (own == Inside) { continue; }

            var begins = own == Single || (own == Letter && before != Letter);
            before = own;
            if (!begins) { continue; }

            var end = at + 1;
            while (end < count && (classes[end] == Inside || (own == Letter && classes[end] == Letter))) { end++; }

            var characters = classes[at..end].Length - classes[at..end].Count(Inside);
            var made = 0;
            var from = at;
            while (from < end && characters <= launch.Int(11))
            {
                int best = -1, bestEnd = from;
                for (var to = end; to > from && best < 0; to--)
                {
                    if (to < end && classes[to] == Inside) { continue; }

                    if ((from == at ? begin : goOn).TryGetValue(Encoding.Latin1.GetString(normal[from..to]), out var token)) { (best, bestEnd) = (token, to); }
                }

                if (best < 0) { break; }
                found[at + made++] = (uint)best;
                from = bestEnd;
            }

            if (from < end) { (found[at], made) = ((uint)launch.Int(12), 1); }
            counts[at] = (uint)made;
        }
    }

    /// <summary>A table's tokens by their bytes, without the hash that the kernel trusts.</summary>
    private static Dictionary<string, int> Table(CpuLaunch launch, int table)
    {
        var slots = launch.Buffer<uint>(table)[..(2 * (launch.Int(table + 1) + 1))];
        var tokens = launch.Buffer<uint>(8);
        var bytes = launch.Buffer<byte>(9);
        var found = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var slot = 1; slot < slots.Length; slot += 2)
        {
            if (slots[slot] == 0) { continue; }

            var token = (int)slots[slot] - 1;
            found.Add(Encoding.Latin1.GetString(bytes.Slice((int)tokens[token * 2], (int)tokens[(token * 2) + 1])), token);
        }

        return found;
    }

    private static void CountTokens(CpuLaunch launch)
    {
        var count = (int)launch.Buffer<uint>(1)[launch.Int(2)];
        var totals = launch.Buffer<uint>(3);
        totals[..launch.Grid.X].Clear();
        for (var at = 0; at < count; at++) { totals[at / Group] += launch.Buffer<uint>(0)[at]; }
    }

    private static void Scatter(CpuLaunch launch)
    {
        var count = (int)launch.Buffer<uint>(1)[launch.Int(2)];
        var to = 0;
        for (var at = 0; at < count; at++)
        {
            launch.Buffer<uint>(6)[at] = (uint)to;
            for (var i = 0; i < launch.Buffer<uint>(0)[at]; i++) { launch.Buffer<uint>(5)[to++] = launch.Buffer<uint>(4)[at + i]; }
        }
    }

    private static void TextOffsets(CpuLaunch launch)
    {
        var texts = launch.Int(1);
        var normal = launch.Buffer<uint>(4)[launch.Int(5)];
        for (var text = 0; text <= texts; text++)
        {
            var at = text < texts ? launch.Buffer<uint>(3)[(int)launch.Buffer<uint>(0)[text]] : normal;
            launch.Buffer<uint>(9)[text] = at < normal ? launch.Buffer<uint>(6)[(int)at] : launch.Buffer<uint>(7)[launch.Int(8)];
        }
    }
}
