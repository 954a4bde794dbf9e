using System.Text;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>The module wordpiece.cl and its references, which go through a tile from its beginning and look words up in the tree alone.</summary>
internal static class WordPieceKernels
{
    public const int Group = 256;

    /// <summary>Bytes of which a group's words begin.</summary>
    public const int Tile = 3584;

    /// <summary>Bytes before a tile that say whether a word goes on into it.</summary>
    public const int History = 32;

    /// <summary>Places of a tile's tokens: its bytes and those that its last word may take beyond.</summary>
    public const int Span = 4064;

    public static readonly KernelModule Module = new(
        "wordpiece",
        ("tokenise_tiles", TokeniseTiles));

    private static void TokeniseTiles(CpuLaunch launch)
    {
        for (var group = 0; group < launch.Grid.X; group++) { TokeniseTile(launch, group); }
    }

    private static void TokeniseTile(CpuLaunch launch, int group)
    {
        var count = launch.Int(1);
        var text = launch.Buffer<byte>(0)[..count];
        var starts = launch.Buffer<int>(3)[..launch.Int(4)];
        var flags = launch.Buffer<uint>(25);
        var tile = (launch.Int(2) + group) * Tile;
        var at = Math.Max(0, tile - History);
        var end = Math.Min(count, tile + Span);

        // Null is not known: what is before the window may be of a word.
        Span<byte> room = stackalloc byte[4];
        bool? within = at == 0 ? false : null;
        var words = new List<(int Home, List<byte> Bytes)>();
        var isOwn = false;
        while (at < end)
        {
            if (starts.BinarySearch(at) >= 0) { within = false; }
            else if (within is null && at >= tile)
            {
                TokenKernels.Flag(flags, starts, tile, TokenKernels.Leave);
                within = false;
            }

            var next = starts.BinarySearch(at + 1);
            next = next < 0 ? ~next : next;
            var rest = text[at..(next < starts.Length ? starts[next] : count)];
            var valid = Rune.DecodeFromUtf8(rest, out var rune, out var bytes) == System.Buffers.OperationStatus.Done;
            if (!valid) { bytes = 1; }

            var entry = !valid && at < tile && (text[at] & 0xC0) == 0x80 ? BertCharacters.Nothing | BertCharacters.Changed
                : !valid ? BertCharacters.Special | BertCharacters.Space
                : launch.Buffer<uint>(7)[(launch.Buffer<ushort>(6)[rune.Value >> 8] * 256) + (rune.Value & 255)];
            if (at >= tile && at < tile + Tile)
            {
                if ((entry & BertCharacters.Special) != 0) { TokenKernels.Flag(flags, starts, at, TokenKernels.Leave); }
                if ((launch.Buffer<uint>(19)[text[at] / 32] >> text[at] % 32 & 1) != 0) { TokenKernels.Flag(flags, starts, at, TokenKernels.Suspect); }
            }

            var normal = BertCharacters.Spell(entry, rest[..bytes], launch.Buffer<byte>(8), room);
            if ((entry & BertCharacters.Space) == BertCharacters.Space) { within = false; }
            else if (!normal.IsEmpty)
            {
                var alone = (entry & BertCharacters.Alone) != 0;
                if (alone || within != true)
                {
                    if (at >= tile + Tile) { break; }

                    isOwn = at >= tile;
                    if (isOwn) { words.Add((at - tile, [])); }
                }

                if (isOwn) { words[^1].Bytes.AddRange(normal); }
                within = !alone;
            }

            at += bytes;
        }

        // A word that may go on beyond the window is known only where it is too long already.
        var isCut = isOwn && at >= end && within == true && end < count && starts.BinarySearch(end) < 0;
        var made = 0;
        var ids = launch.Buffer<uint>(22).Slice(group * Span, Span);
        var nextText = starts.BinarySearch(tile);
        nextText = nextText < 0 ? ~nextText : nextText;
        while (nextText > 0 && starts[nextText - 1] == tile) { nextText--; }

        for (var i = 0; i <= words.Count; i++)
        {
            var home = i < words.Count ? words[i].Home : Tile - 1;
            for (; nextText < starts.Length && starts[nextText] <= tile + home; nextText++) { launch.Buffer<int>(24)[nextText] = made; }
            if (i == words.Count) { break; }

            var word = words[i].Bytes;
            var isLong = word.Count(value => (value & 0xC0) != 0x80) > launch.Int(17);
            if (isCut && i == words.Count - 1 && !isLong) { TokenKernels.Flag(flags, starts, tile + home, TokenKernels.Leave); }

            var tokens = isLong || (isCut && i == words.Count - 1) ? null : Longest(word, launch.Buffer<uint>(14), (uint)launch.Int(16));
            foreach (var token in tokens ?? [(uint)launch.Int(18)]) { ids[made++] = token; }
        }

        launch.Buffer<int>(23)[group] = made;
    }

    /// <summary>The tokens of a word, or null.</summary>
    private static List<uint>? Longest(List<byte> word, ReadOnlySpan<uint> steps, uint goOn)
    {
        var tokens = new List<uint>();
        for (var from = 0; from < word.Count;)
        {
            var node = from == 0 ? 0 : goOn;
            var (best, next) = (0u, from);
            for (var i = from; i < word.Count && node != WordPieceTable.NoNode; i++)
            {
                var slot = steps[((int)node * 4) + 1] + word[i];
                if (steps[(int)slot * 4] != node) { break; }

                node = slot;
                if (steps[((int)slot * 4) + 2] is not 0 and var token) { (best, next) = (token, i + 1); }
            }

            if (best == 0) { return null; }

            tokens.Add(best - 1);
            from = next;
        }

        return tokens;
    }
}
