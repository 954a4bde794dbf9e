using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Tests.Search;

public sealed class A_saved_index
{
    private static readonly IndexSettings Settings = new() { Dimensions = 3 };

    private static readonly HybridQuery[] Queries =
    [
        new() { Text = "alpha beta", Hits = 50 }, new() { Text = "gamma", Hits = 50 }, new() { Vector = new float[] { 1, 2, 3 }, Hits = 50 },
        new() { Text = "alpha", Vector = new float[] { -1, 0, 1 }, Filter = DocumentFilter.Tagged("even"), Hits = 50 },
        new() { Text = "alpha", Filter = DocumentFilter.Not(DocumentFilter.Tagged("odd")), Hits = 50 },
    ];

    [Fact]
    public void is_the_same_when_it_is_opened_again()
    {
        using var folder = new TemporaryFolder();
        var before = Make(folder.Path);
        using var index = HybridIndex.Open(folder.Path, Settings);
        Assert.Equal(9, index.Position);
        Assert.Equal(before, Answers(index));
    }

    [Fact]
    public void never_answers_wrongly_whatever_byte_of_it_is_changed()
    {
        using var folder = new TemporaryFolder();
        var right = Make(folder.Path);
        foreach (var file in Files(folder.Path))
        {
            var bytes = File.ReadAllBytes(file);
            var refused = 0;
            for (var at = 0; at < bytes.Length; at++)
            {
                bytes[at] ^= (byte)(1 << (at % 8));
                File.WriteAllBytes(file, bytes);
                bytes[at] ^= (byte)(1 << (at % 8));
                try { Assert.Equal(right, Answers(folder.Path)); }
                catch (CorruptIndexException error)
                {
                    refused++;
                    Assert.Contains(folder.Path, error.Message, StringComparison.Ordinal);
                }
            }

            // What is left are bytes that hold nothing: the gap behind the header.
            Assert.InRange(refused, bytes.Length - 64, bytes.Length);
            File.WriteAllBytes(file, bytes);
        }

        Assert.Equal(right, Answers(folder.Path));
    }

    [Fact]
    public void is_refused_when_it_was_cut_or_lacks_a_file()
    {
        using var folder = new TemporaryFolder();
        Make(folder.Path);
        foreach (var file in Files(folder.Path))
        {
            var bytes = File.ReadAllBytes(file);
            foreach (var length in Enumerable.Range(0, 70).Append(bytes.Length / 2).Append(bytes.Length - 1))
            {
                File.WriteAllBytes(file, bytes[..length]);
                Assert.Throws<CorruptIndexException>(() => Answers(folder.Path));
            }

            File.WriteAllBytes(file, [.. bytes, 0]);
            Assert.Throws<CorruptIndexException>(() => Answers(folder.Path));
            if (Path.GetFileName(file) != "index")
            {
                File.Delete(file);
                Assert.Contains("is not there", Assert.Throws<CorruptIndexException>(() => Answers(folder.Path)).Message, StringComparison.Ordinal);
            }

            File.WriteAllBytes(file, bytes);
        }

        using var rebuilt = HybridIndex.Rebuild(folder.Path, Settings);
        Assert.Equal(0, rebuilt.Position);
        Assert.Empty(Files(folder.Path));
    }

    [Fact]
    public void is_not_used_with_other_settings()
    {
        using var folder = new TemporaryFolder();
        Make(folder.Path);
        foreach (var other in new[] { Settings with { Dimensions = 4 }, Settings with { Similarity = Similarity.DotProduct }, Settings with { FoldAccents = false }, Settings with { TitleWeight = 3 } })
        {
            Assert.Contains("other settings", Assert.Throws<CorruptIndexException>(() => HybridIndex.Open(folder.Path, other)).Message, StringComparison.Ordinal);
        }

        HybridIndex.Open(folder.Path, Settings with { K1 = 2, B = 0.1, Threads = 1 }).Dispose();
    }

    [Fact]
    public void is_open_once_at_a_time()
    {
        using var folder = new TemporaryFolder();
        using var first = HybridIndex.Open(folder.Path, Settings);
        Assert.Throws<IOException>(() => HybridIndex.Open(folder.Path, Settings));
    }

    [Fact]
    public void goes_on_from_the_position_that_was_saved_and_forgets_what_was_not()
    {
        using var folder = new TemporaryFolder();
        Make(folder.Path);
        using (var index = HybridIndex.Open(folder.Path, Settings))
        {
            index.Apply([new IndexDocument(Guid.NewGuid(), "lost")], [], 10);
            Assert.Single(index.Search(new HybridQuery { Text = "lost" }, CancellationToken.None));
        }

        using var again = HybridIndex.Open(folder.Path, Settings);
        Assert.Equal(9, again.Position);
        Assert.Empty(again.Search(new HybridQuery { Text = "lost" }, CancellationToken.None));
        Assert.True(again.Apply([], [], 10));
    }

    [Fact]
    public void leaves_no_files_that_nobody_reads()
    {
        using var folder = new TemporaryFolder();
        using var index = HybridIndex.Open(folder.Path, Settings);
        for (var position = 1; position < 40; position++)
        {
            index.Apply([new IndexDocument(VectorData.Id(position % 10), $"text {position}")], [], position);
            index.Save();
        }

        index.Compact();
        index.Save();
        Assert.Equal(2, Files(folder.Path).Length);
        Assert.Equal(10, index.Search(new HybridQuery { Text = "text", Hits = 100 }, CancellationToken.None).Count);
    }

    /// <returns>What it answers.</returns>
    private static string Make(string path)
    {
        using var index = HybridIndex.Open(path, Settings);
        for (var position = 1; position < 10; position++)
        {
            // Eight become one segment; the ninth deletes from it.
            index.Apply(position == 9 ? [] : [Document(position * 2), Document((position * 2) + 1)], position == 9 ? [VectorData.Id(5), VectorData.Id(16)] : [], position);
        }

        index.Save();
        return Answers(index);
    }

    private static IndexDocument Document(int number) => new(VectorData.Id(number), string.Join(' ', (string[])["alpha", .. Enumerable.Repeat("beta", number % 4), .. Enumerable.Repeat("gamma", number % 3)]))
    {
        Vector = number % 5 == 0 ? default : new float[] { number, 7 - number, number % 7 },
        Tags = [number % 2 == 0 ? "even" : "odd"],
    };

    private static string Answers(string path)
    {
        using var index = HybridIndex.Open(path, Settings);
        return Answers(index);
    }

    private static string Answers(HybridIndex index)
    {
        using var reader = index.OpenReader();
        return $"{reader.Position} {reader.Documents} " + string.Join('\n', Queries.Select(query => string.Join(' ', reader.Search(query, CancellationToken.None).Select(hit => $"{hit.Id} {hit.Score:R}"))));
    }

    private static string[] Files(string path) => [.. Directory.GetFiles(path).Where(file => Path.GetFileName(file) != "lock").Order()];
}
