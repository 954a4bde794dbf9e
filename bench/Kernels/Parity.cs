using System.Buffers.Binary;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.Kernels;

/// <summary>Compares ids with those of a reference that come as records on standard input (bench/parity/stream.mjs).</summary>
internal static class Parity
{
    private const int ShownDifferences = 10;

    public static int Run(string[] args)
    {
        switch (args)
        {
            case ["tiktoken", var name, var rankFile]:
                var encoding = TiktokenEncoding.Load(name, File.ReadAllBytes(rankFile));
                return Compare(text =>
                {
                    var ids = encoding.Encode(text);
                    return encoding.Count(text) == ids.Length ? ids : throw new InvalidOperationException("The count is not that of the ids.");
                });
            case ["tokenizer", var file, "offsets"]:
                var aligned = Tokeniser.Load(file);
                return Compare(text =>
                {
                    var encoded = aligned.Encode(text);
                    return [.. encoded.Ids, .. encoded.ScalarOffsets.SelectMany(offset => new[] { offset.Start, offset.End })];
                });
            case ["tokenizer", var file, "whole"]:
                var paired = Tokeniser.Load(file);
                return Compare(text =>
                {
                    var middle = MiddleOf(text);
                    var encoded = paired.Encode(text.AsSpan(0, middle), text.AsSpan(middle));
                    return [.. Everything(encoded), .. Decoded(paired, encoded, true), .. Decoded(paired, encoded, false)];
                });
            case ["patterns"]:
                var patterns = new PatternParity();
                var result = Compare(patterns.Of);
                patterns.PrintRefusals();
                return result;
            case ["resources", var library, var folder]:
                return Unpack(library, folder);
            case ["tokenizer", var file, _]:
                var tokeniser = Tokeniser.Load(file);
                var packed = new PackedTokens();
                return Compare(text =>
                {
                    tokeniser.Pack([text], packed, threads: 1);
                    return packed.Ids.ToArray();
                });
            default:
                Console.Error.WriteLine("parity tiktoken NAME RANKFILE | parity tokenizer FILE offsets|whole|ids | parity patterns | parity resources DLL FOLDER");
                return 2;
        }
    }

    private static IEnumerable<int> Everything(TokenisedText text) =>
    [
        .. text.Ids, .. text.TypeIds, .. text.SpecialMask.Select(mask => (int)mask), .. text.AttentionMask.Select(mask => (int)mask),
        .. text.ScalarOffsets.SelectMany(offset => new[] { offset.Start, offset.End }), .. text.WordIds,
    ];

    private static IEnumerable<int> Decoded(Tokeniser tokeniser, TokenisedText text, bool skipSpecialTokens) =>
        Encoding.UTF8.GetBytes(tokeniser.Decode(text.Ids, skipSpecialTokens)).Select(value => (int)value);

    /// <summary>Where the second half of the characters begins.</summary>
    private static int MiddleOf(byte[] text)
    {
        var left = text.Count(value => (value & 0xC0) != 0x80) / 2;
        var at = 0;
        for (; left > 0; left--)
        {
            at++;
            while (at < text.Length && (text[at] & 0xC0) == 0x80) { at++; }
        }

        return at;
    }

    /// <summary>The files that a library carries, by their last two names (vocab.txt): some packages have their models in them.</summary>
    private static int Unpack(string library, string folder)
    {
        var assembly = Assembly.LoadFile(Path.GetFullPath(library));
        foreach (var name in assembly.GetManifestResourceNames())
        {
            using var resource = assembly.GetManifestResourceStream(name)!;
            using var file = File.Create(Path.Combine(folder, string.Join('.', name.Split('.')[^2..])));
            resource.CopyTo(file);
        }

        return 0;
    }

    private static int Compare(Func<byte[], int[]> encode) => Compare((text, _) => encode(text));

    /// <param name="encode">null: the text is not compared.</param>
    private static int Compare(Func<byte[], ReadOnlySpan<int>, int[]?> encode)
    {
        using var input = new BufferedStream(Console.OpenStandardInput(), 1 << 20);
        var (cases, bytes, tokens, different) = (0L, 0L, 0L, 0L);
        while (TryReadLength(input, out var length))
        {
            var text = new byte[length];
            input.ReadExactly(text);
            if (!TryReadLength(input, out var count)) { throw new EndOfStreamException(); }

            var expected = new byte[count * sizeof(int)];
            input.ReadExactly(expected);
            var actual = encode(text, MemoryMarshal.Cast<byte, int>(expected));
            if (actual is null) { continue; }

            cases++;
            bytes += length;
            tokens += count;
            var same = actual.Length == count;
            for (var i = 0; same && i < count; i++) { same = actual[i] == BinaryPrimitives.ReadInt32LittleEndian(expected.AsSpan(i * sizeof(int))); }

            if (!same && different++ < ShownDifferences)
            {
                Console.WriteLine($"differs: {Convert.ToHexString(text.AsSpan(0, Math.Min(length, 200)))}");
                Console.WriteLine($"  reference: {string.Join(' ', Enumerable.Range(0, Math.Min(count, 40)).Select(i => BinaryPrimitives.ReadInt32LittleEndian(expected.AsSpan(i * sizeof(int)))))}");
                Console.WriteLine($"  here:      {string.Join(' ', actual.Take(40))}");
            }
        }

        Console.WriteLine($"{cases} texts, {bytes} bytes, {tokens} tokens: {(cases == 0 ? "the reference gave none" : different == 0 ? "all the same" : $"{different} differ")}");
        return different == 0 && cases > 0 ? 0 : 1;
    }

    private static bool TryReadLength(Stream input, out int length)
    {
        Span<byte> number = stackalloc byte[sizeof(int)];
        var read = input.ReadAtLeast(number, number.Length, throwOnEndOfStream: false);
        length = BinaryPrimitives.ReadInt32LittleEndian(number);
        return read == number.Length;
    }
}
