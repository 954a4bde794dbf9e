using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Kernels;

/// <summary>The module bpe.cl and its reference, which goes through a tile from its beginning, a character after the other, and merges a piece from its beginning again and again.</summary>
internal static class BytePairKernels
{
    /// <summary>Bytes of which a group's stretches begin.</summary>
    public const int Tile = 3072;

    /// <summary>Bytes before a tile that say whether its first place is certain.</summary>
    public const int History = 32;

    /// <summary>Places of a tile's tokens: its bytes and those that its last stretch may take beyond.</summary>
    public const int Span = 4064;

    /// <summary>The longest piece that is merged.</summary>
    public const int MergedBytes = 1023;

    public static readonly KernelModule Module = new("bpe", ("tokenise_pieces", TokeniseTiles));

    private static void TokeniseTiles(CpuLaunch launch)
    {
        var pieces = Pieces(launch.Buffer<uint>(9));
        var ranks = new Dictionary<(uint Left, uint Right), int>();
        foreach (var slot in launch.Buffer<ulong>(16)[..((launch.Int(17) + 1) * 4)])
        {
            if (slot != ulong.MaxValue) { ranks.Add(((uint)(slot >> 42), (uint)(slot >> 20) & 0x3F_FFFF), (int)slot & 0xF_FFFF); }
        }

        for (var group = 0; group < launch.Grid.X; group++) { TokeniseTile(launch, group, pieces, ranks); }
    }

    private static void TokeniseTile(CpuLaunch launch, int group, Dictionary<string, uint> pieces, Dictionary<(uint Left, uint Right), int> ranks)
    {
        var count = launch.Int(1);
        var text = launch.Buffer<byte>(0)[..count];
        var starts = launch.Buffer<int>(3)[..launch.Int(4)];
        var flags = launch.Buffer<uint>(25);
        var pattern = (SplitPattern)launch.Int(7);
        var tile = (launch.Int(2) + group) * Tile;
        var end = Math.Min(count, tile + Span);
        var certain = Certain(launch, text, starts, tile, end, flags);

        // Where the window ends with the texts or with one of them, so does the last stretch.
        var isWhole = end == count || starts.BinarySearch(end) >= 0;
        var ids = launch.Buffer<uint>(22).Slice(group * Span, Span);
        var made = 0;
        var next = 0;
        while (next < starts.Length && starts[next] < tile) { next++; }

        for (var i = 0; i < certain.Count && certain[i] < tile + Tile; i++)
        {
            for (; next < starts.Length && starts[next] <= certain[i]; next++) { launch.Buffer<int>(24)[next] = made; }

            if (i + 1 == certain.Count && !isWhole)
            {
                TokenKernels.Flag(flags, starts, certain[i], TokenKernels.Leave);
                continue;
            }

            // With the character behind it, which a pattern looks at; beyond the window the text need not be there yet.
            var own = TextAt(starts, certain[i]);
            var stop = i + 1 < certain.Count ? certain[i + 1] : end;
            var rest = text[stop..(own + 1 < starts.Length ? starts[own + 1] : count)];
            _ = Rune.DecodeFromUtf8(rest, out _, out var behind);
            var stretch = text[certain[i]..(stop + behind)];
            if (!Utf8.IsValid(stretch)) { continue; }

            for (var at = certain[i]; at < stop;)
            {
                var piece = text[at..(certain[i] + pattern.End(stretch, at - certain[i]))];
                var bytes = Encoding.Latin1.GetString(piece);
                if (pieces.TryGetValue(bytes, out var token)) { ids[made++] = token; }
                else if (piece.Length > MergedBytes) { TokenKernels.Flag(flags, starts, at, TokenKernels.Leave); }
                else
                {
                    foreach (var id in Merge(piece, launch.Buffer<uint>(14), ranks, launch.Buffer<uint>(20))) { ids[made++] = id; }
                }

                at += piece.Length;
            }
        }

        for (; next < starts.Length && starts[next] < tile + Tile; next++) { launch.Buffer<int>(24)[next] = made; }

        launch.Buffer<int>(23)[group] = made;
    }

    /// <summary>Where in a tile and beyond it a piece begins whatever is before; texts of the tile are flagged.</summary>
    private static List<int> Certain(CpuLaunch launch, ReadOnlySpan<byte> text, ReadOnlySpan<int> starts, int tile, int end, Span<uint> flags)
    {
        var certain = new List<int>();
        var (before, last) = (0, (byte)0);
        for (var at = Math.Max(0, tile - History); at < end;)
        {
            var own = TextAt(starts, at);
            var isFirst = starts[own] == at;
            var rest = text[at..(own + 1 < starts.Length ? starts[own + 1] : text.Length)];
            var isValid = Rune.DecodeFromUtf8(rest, out var rune, out var bytes) == System.Buffers.OperationStatus.Done;
            if (!isValid) { bytes = 1; }

            var kind = isValid ? launch.Buffer<byte>(6)[rune.Value] : 0;
            if (at >= tile && at < tile + Tile)
            {
                if (!isValid || (isFirst && launch.Int(8) != 0 && text[at] != ' ')) { TokenKernels.Flag(flags, starts, at, TokenKernels.Leave); }
                if ((launch.Buffer<uint>(21)[text[at] / 32] >> text[at] % 32 & 1) != 0) { TokenKernels.Flag(flags, starts, at, TokenKernels.Suspect); }
            }

            // Where case does not count, marks are like what is of no class.
            if (kind == UnicodeClasses.Mark && (SplitPattern)launch.Int(7) < SplitPattern.O200k) { kind = 0; }

            var isCertain = isFirst || (before, kind) switch
            {
                (UnicodeClasses.Number, _) => kind != UnicodeClasses.Number,
                (_, UnicodeClasses.Number) => last != ' ',
                (UnicodeClasses.Upper or UnicodeClasses.Lower or UnicodeClasses.Caseless, UnicodeClasses.Space) => true,
                (UnicodeClasses.Upper or UnicodeClasses.Lower or UnicodeClasses.Caseless, 0) => text[at] != '\'',
                (0, UnicodeClasses.Space) => text[at] is not ((byte)'\r' or (byte)'\n'),
                _ => false,
            };
            if (isCertain && at >= tile) { certain.Add(at); }

            (before, last) = (kind, text[at]);
            at += bytes;
        }

        return certain;
    }

    /// <summary>The last text that begins here or before.</summary>
    private static int TextAt(ReadOnlySpan<int> starts, int at)
    {
        var text = starts.BinarySearch(at);
        text = text < 0 ? ~text - 1 : text;
        while (text + 1 < starts.Length && starts[text + 1] == at) { text++; }

        return text;
    }

    private static List<uint> Merge(ReadOnlySpan<byte> piece, ReadOnlySpan<uint> byteSymbols, Dictionary<(uint Left, uint Right), int> ranks, ReadOnlySpan<uint> merged)
    {
        var symbols = new List<uint>();
        foreach (var value in piece) { symbols.Add(byteSymbols[value] & ((1u << BytePairTable.SymbolBits) - 1)); }

        while (true)
        {
            var (best, least) = (-1, int.MaxValue);
            for (var i = 0; i + 1 < symbols.Count; i++)
            {
                if (ranks.TryGetValue((symbols[i], symbols[i + 1]), out var rank) && rank < least) { (best, least) = (i, rank); }
            }

            if (best < 0) { return symbols; }

            symbols[best] = merged[least];
            symbols.RemoveAt(best + 1);
        }
    }

    /// <summary>The tokens of <see cref="BytePairTable"/>, each byte a character.</summary>
    private static Dictionary<string, uint> Pieces(ReadOnlySpan<uint> slots)
    {
        var entries = new List<(string Bytes, uint There, uint Value, uint Before)>();
        for (; !slots.IsEmpty; slots = slots[BytePairTable.SlotWords..])
        {
            if (slots[4] == 0) { continue; }

            var bytes = MemoryMarshal.AsBytes(slots[..4])[..(int)Math.Min(slots[4], BytePairTable.KeyBytes)];
            entries.Add((Encoding.Latin1.GetString(bytes), slots[4], slots[5], slots[6]));
        }

        var goOn = entries.Where(entry => entry.There == BytePairTable.GoesOn).ToDictionary(entry => entry.Value);
        return entries.Where(entry => entry.There != BytePairTable.GoesOn).ToDictionary(
            entry =>
            {
                var (bytes, before) = (entry.Bytes, entry.Before);
                for (; before != 0; before = goOn[before].Before) { bytes = goOn[before].Bytes + bytes; }

                return bytes;
            },
            entry => entry.Value,
            StringComparer.Ordinal);
    }
}
