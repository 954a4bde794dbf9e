using System.Buffers.Binary;
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
            case ["tokenizer", var file, _]:
                var tokeniser = Tokeniser.Load(file);
                var packed = new PackedTokens();
                return Compare(text =>
                {
                    tokeniser.Pack([text], packed, threads: 1);
                    return packed.Ids.ToArray();
                });
            default:
                Console.Error.WriteLine("parity tiktoken NAME RANKFILE | parity tokenizer FILE offsets|ids");
                return 2;
        }
    }

    private static int Compare(Func<byte[], int[]> encode)
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
            var actual = encode(text);
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

        Console.WriteLine($"{cases} texts, {bytes} bytes, {tokens} tokens: {(different == 0 ? "all the same" : $"{different} differ")}");
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
