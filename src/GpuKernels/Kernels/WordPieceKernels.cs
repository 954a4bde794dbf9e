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
        ("normalise", Normalise),
        ("match", Match),
        ("normal_starts", NormalStarts));

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
            if ((entry & BertCharacters.Special) != 0) { TokenKernels.Leave(launch.Buffer<uint>(5), (uint)at); }
            totals[at / Group] += (uint)Length(entry, bytes);
        }
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
        var count = launch.Int(2);
        var normal = launch.Buffer<byte>(0)[..count];
        var classes = launch.Buffer<byte>(1)[..count];
        var found = launch.Buffer<uint>(12);
        var counts = launch.Buffer<uint>(13);
        counts[..count].Clear();
        var (begin, goOn) = (Table(launch, 3), Table(launch, 5));
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
            while (from < end && characters <= launch.Int(10))
            {
                int best = -1, bestEnd = from;
                for (var to = end; to > from && best < 0; to--)
                {
                    if (to < end && classes[to] == Inside) { continue; }

                    if ((from == at ? begin : goOn).TryGetValue(Encoding.Latin1.GetString(normal[from..to]), out var token)) { (best, bestEnd) = (token, to); }
                }

                if (best < 0) { break; }
                found[at + made++] = launch.Buffer<uint>(7)[(best * 3) + 2];
                from = bestEnd;
            }

            if (from < end) { (found[at], made) = ((uint)launch.Int(11), 1); }
            counts[at] = (uint)made;
        }
    }

    /// <summary>A table's tokens by their bytes, without the hash that the kernel trusts.</summary>
    private static Dictionary<string, int> Table(CpuLaunch launch, int table)
    {
        var slots = launch.Buffer<uint>(table)[..(2 * (launch.Int(table + 1) + 1))];
        var tokens = launch.Buffer<uint>(7);
        var bytes = launch.Buffer<byte>(8);
        var found = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var slot = 1; slot < slots.Length; slot += 2)
        {
            if (slots[slot] == 0) { continue; }

            var token = (int)slots[slot] - 1;
            found.Add(Encoding.Latin1.GetString(bytes.Slice((int)tokens[token * 3], (int)tokens[(token * 3) + 1])), token);
        }

        return found;
    }

    private static void NormalStarts(CpuLaunch launch)
    {
        foreach (ref var start in launch.Buffer<uint>(0)[..launch.Int(1)]) { start = launch.Buffer<uint>(2)[(int)start]; }
    }
}
