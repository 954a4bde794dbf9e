using System.Buffers;
using System.Buffers.Text;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>A tiktoken rank file: a line for each token, its bytes in base64, a space, its rank, which is its id.</summary>
internal static class RankFile
{
    /// <summary>The largest in use, o200k_base, has 3.6 MB.</summary>
    public const int MaximalBytes = 64 * 1024 * 1024;

    /// <exception cref="TokeniserFileException">A line is not of this form, or a token or a rank stands twice.</exception>
    public static PieceTable Read(ReadOnlySpan<byte> file)
    {
        if (file.Length > MaximalBytes) { throw new TokeniserFileException($"The rank file has {file.Length} bytes; the limit is {MaximalBytes}."); }

        var tokens = new List<byte[]?>();
        var seen = new HashSet<byte[]>(new ByteStrings());
        var number = 0;
        foreach (var range in file.Split((byte)'\n'))
        {
            number++;
            var line = file[range].TrimEnd((byte)'\r');
            if (line.IsEmpty) { continue; }

            var space = line.IndexOf((byte)' ');
            if (space < 1) { throw Wrong(number, "is not a token in base64, a space and a rank"); }

            var token = new byte[Base64.GetMaxDecodedFromUtf8Length(space)];
            if (Base64.DecodeFromUtf8(line[..space], token, out _, out var length) != OperationStatus.Done || length is 0 or > Vocabulary.MaximalTokenBytes)
            {
                throw Wrong(number, $"does not begin with a token of 1 to {Vocabulary.MaximalTokenBytes} bytes in base64");
            }

            if (!Utf8Parser.TryParse(line[(space + 1)..], out int rank, out var read) || read != line.Length - space - 1 || rank is < 0 or >= MergeTable.MaximalMerges)
            {
                throw Wrong(number, $"does not end with a rank from 0 to {MergeTable.MaximalMerges - 1}");
            }

            while (tokens.Count <= rank) { tokens.Add(null); }

            if (tokens[rank] is not null) { throw Wrong(number, $"has the rank {rank}, which an earlier line has"); }

            Array.Resize(ref token, length);
            if (!seen.Add(token)) { throw Wrong(number, "has a token that an earlier line has"); }

            tokens[rank] = token;
        }

        return new PieceTable([.. tokens]);
    }

    private static TokeniserFileException Wrong(int line, string what) => new($"The rank file is not one of tiktoken: line {line} {what}.");
}
