using System.Security.Cryptography;

namespace Platform.GpuKernels.Embedding.Lexical;

/// <summary>
/// In how many documents of a corpus each word and each piece of a word occurs, for <see cref="LexicalEmbedding"/>. Counted by hash in two
/// tables of which the smaller number holds (Cormode and Muthukrishnan's count-min sketch): 1 MB whatever the corpus, never too small a number.
/// Documents can be taken out again. Not thread-safe.
/// </summary>
public sealed class LexicalStatistics
{
    /// <summary>Numbers of one table. A corpus of 100,000 different words and pieces shares few of them in both tables.</summary>
    private const int Buckets = 1 << 17;
    private const int Tables = 2;

    private const uint Magic = 0x3153584c; // "LXS1"

    private readonly uint[] _counts;
    private readonly LexicalFeatures _features = new();

    public LexicalStatistics() => _counts = new uint[Buckets * Tables];

    private LexicalStatistics(uint[] counts, uint documents) => (_counts, Documents) = (counts, documents);

    public uint Documents { get; private set; }

    /// <summary>Counts a document.</summary>
    /// <exception cref="ArgumentException">The text is longer than <see cref="TextLimits.TextBytes"/>.</exception>
    public void Add(string document) => Count(document, add: true);

    /// <summary>Takes out a document that was counted with exactly this text.</summary>
    /// <exception cref="InvalidOperationException">It was not counted: nothing has changed.</exception>
    public void Remove(string document) => Count(document, add: false);

    public LexicalStatistics Copy() => new((uint[])_counts.Clone(), Documents);

    /// <summary>Eight hexadecimal digits of the content: equal numbers, equal fingerprint.</summary>
    public string Fingerprint()
    {
        using var content = new MemoryStream();
        Write(content);
        return Convert.ToHexStringLower(SHA256.HashData(content.GetBuffer().AsSpan(0, (int)content.Length)))[..8];
    }

    /// <summary>Writes "LXS1", the number of documents, and for each number that is not 0 how far it lies behind the last one and what it is, as LEB128.</summary>
    public void Write(Stream stream)
    {
        using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(Documents);
        writer.Write7BitEncodedInt(_counts.Count(count => count > 0));
        for (var (at, last) = (0, 0); at < _counts.Length; at++)
        {
            if (_counts[at] == 0) { continue; }

            writer.Write7BitEncodedInt(at - last);
            writer.Write7BitEncodedInt64(_counts[at]);
            last = at;
        }
    }

    /// <exception cref="InvalidDataException">It is not what <see cref="Write"/> writes.</exception>
    public static LexicalStatistics Read(Stream stream)
    {
        using var reader = new BinaryReader(stream, System.Text.Encoding.UTF8, leaveOpen: true);
        try
        {
            if (reader.ReadUInt32() != Magic) { throw new InvalidDataException("These are no lexical statistics: they do not begin with LXS1."); }

            var documents = reader.ReadUInt32();
            var counts = new uint[Buckets * Tables];
            var left = reader.Read7BitEncodedInt();
            for (long at = 0; left > 0; left--)
            {
                at += reader.Read7BitEncodedInt();
                var count = reader.Read7BitEncodedInt64();
                if (at < 0 || at >= counts.Length || counts[at] != 0 || count < 1 || count > documents) { throw new InvalidDataException("The lexical statistics are damaged: a number lies outside of its table, or exceeds the documents."); }

                counts[at] = (uint)count;
            }

            return new LexicalStatistics(counts, documents);
        }
        catch (Exception error) when (error is EndOfStreamException or FormatException) { throw new InvalidDataException("The lexical statistics end too early, or are damaged.", error); }
    }

    /// <summary>How much rarer than usual a feature is: 1 where nothing is known of it (a slip in a query matches nothing and only makes noise), else BM25's ln(1 + (N - n + 0.5) / (n + 0.5)) (Robertson and Zaragoza 2009), at least 0.05.</summary>
    internal float Rarity(ulong feature)
    {
        if (Documents == 0) { return 1; }

        var documents = Math.Min(Documents, (double)Math.Min(_counts[First(feature)], _counts[Second(feature)]));
        return documents == 0 ? 1 : (float)Math.Max(0.05, Math.Log(1 + ((Documents - documents + 0.5) / (documents + 0.5))));
    }

    private static int First(ulong feature) => (int)(feature & (Buckets - 1));

    private static int Second(ulong feature) => Buckets + (int)((feature >> 24) & (Buckets - 1));

    private void Count(string document, bool add)
    {
        LexicalEmbedding.Check(document);
        _features.Read(document);

        // A number is counted once a document, also where two of its features share it.
        var touched = new HashSet<int>();
        foreach (var feature in _features.Words.Keys.Concat(_features.Pieces.Keys))
        {
            touched.Add(First(feature));
            touched.Add(Second(feature));
        }

        if (!add && (Documents == 0 || touched.Any(at => _counts[at] == 0))) { throw new InvalidOperationException("The document cannot be taken out: it was not counted with this text."); }

        foreach (var at in touched) { _counts[at] = add ? _counts[at] + 1 : _counts[at] - 1; }

        Documents = add ? checked(Documents + 1) : Documents - 1;
    }
}
