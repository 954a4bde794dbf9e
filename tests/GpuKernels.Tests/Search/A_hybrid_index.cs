using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Tests.Search;

public sealed class A_hybrid_index
{
    private static readonly string[] Words = ["invoice", "Invoices", "überfällig", "uberfallig", "paid", "the", "the", "the", "東京都", "東京", "3.14", "can't", "mail", "MAIL", "ไทยแลนด์", "x9", "naïve", "résumé", "Straße", "strasse"];

    private static readonly string[] Tags = ["source:mail", "source:crm", "tenant:1", "lang:de"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void answers_as_a_naive_one_whatever_was_added_replaced_deleted_compacted_and_saved(int seed)
    {
        var random = new Random(seed);
        var settings = new IndexSettings { Dimensions = 19, Similarity = (Similarity)(seed % 2), Stemming = (Platform.GpuKernels.Search.Keywords.Stemming)(seed % 2), TitleWeight = 1 + (seed % 3), K1 = seed == 3 ? 0.4 : 1.2, Threads = 2 };
        using var folder = new TemporaryFolder();
        var index = HybridIndex.Open(folder.Path, settings);
        try
        {
            var naive = new NaiveIndex(settings);
            for (var position = 1; position <= 60; position++)
            {
                var adds = Enumerable.Range(0, random.Next(position % 7 == 0 ? 60 : 12)).Select(_ => Document(random, settings.Dimensions)).ToArray();
                var deletes = naive.Documents.Keys.Where(_ => random.Next(8) == 0).Append(Guid.Empty).ToArray();
                Assert.True(index.Apply(adds, deletes, position));
                Assert.False(index.Apply([Document(random, settings.Dimensions)], deletes, position));
                naive.Apply(adds, deletes);
                if (random.Next(12) == 0) { index.Compact(); }
                if (random.Next(8) == 0) { index.Save(); }
                if (random.Next(12) == 0)
                {
                    index.Save();
                    index.Dispose();
                    index = HybridIndex.Open(folder.Path, settings);
                    Assert.Equal(position, index.Position);
                }

                Compare(index, naive, random, settings.Dimensions);
            }
        }
        finally
        {
            index.Dispose();
        }
    }

    [Fact]
    public void is_the_same_to_the_bit_when_it_is_folded_in_other_portions()
    {
        var random = new Random(4);
        var settings = new IndexSettings { Dimensions = 8 };
        var documents = Enumerable.Range(0, 500).Select(_ => Document(random, 8)).ToArray();
        using var once = HybridIndex.InMemory(settings);
        once.Apply(documents, [], 1);
        using var often = HybridIndex.InMemory(settings);
        for (var at = 0; at < documents.Length; at++) { often.Apply([documents[at]], [], at + 1); }
        often.Apply([], [], 501);

        Assert.True(Segments(often) < 40, "Segments of a like size become one.");
        foreach (var text in Words)
        {
            var query = new HybridQuery { Text = text, Vector = VectorData.Gaussian(random, 8), Hits = 50 };
            var (first, second) = (once.Search(query, CancellationToken.None), often.Search(query, CancellationToken.None));
            Assert.Equal(first.Select(Shown), second.Select(Shown));
        }

        static string Shown(SearchHit hit) => $"{hit.Id} {hit.Score:R} {hit.Keywords} {hit.Vector} {string.Join(' ', hit.MatchedTerms)}";
    }

    [Fact]
    public void gives_a_reader_one_position_while_a_writer_goes_on()
    {
        var random = new Random(5);
        using var index = HybridIndex.InMemory(new IndexSettings());
        var first = Guid.NewGuid();
        index.Apply([new IndexDocument(first, "one two")], [], 1);
        using var reader = index.OpenReader();
        for (var position = 2; position < 100; position++) { index.Apply([new IndexDocument(Guid.NewGuid(), "two three")], [first], position); }
        index.Compact();

        Assert.Equal((1, 1, true), (reader.Position, reader.Documents, reader.Contains(first)));
        Assert.Equal(first, Assert.Single(reader.Search(new HybridQuery { Text = "two" }, CancellationToken.None)).Id);
        using var later = index.OpenReader();
        Assert.Equal((99, 98, false), (later.Position, later.Documents, later.Contains(first)));
    }

    [Fact]
    public async Task is_searched_by_many_while_one_writes()
    {
        using var index = HybridIndex.InMemory(new IndexSettings { Dimensions = 16 });
        using var stop = new CancellationTokenSource();
        var searches = Enumerable.Range(0, 3).Select(seed => Task.Run(() =>
        {
            var random = new Random(seed);
            var count = 0;
            do
            {
                using var reader = index.OpenReader();
                var hits = reader.Search(new HybridQuery { Text = "mail", Vector = VectorData.Gaussian(random, 16), Hits = 5 }, CancellationToken.None);
                Assert.True(hits.Count <= 5 && hits.All(hit => reader.Contains(hit.Id)));
                count++;
            }
            while (!stop.IsCancellationRequested);
            return count;
        })).ToArray();

        var writer = new Random(9);
        var ids = new List<Guid>();
        for (var position = 1; position <= 300; position++)
        {
            var adds = Enumerable.Range(0, 5).Select(_ => Document(writer, 16)).ToArray();
            index.Apply(adds, [.. ids.Where(_ => writer.Next(20) == 0)], position);
            ids.AddRange(adds.Select(document => document.Id));
        }

        await stop.CancelAsync();
        Assert.All(await Task.WhenAll(searches), count => Assert.True(count > 0));
    }

    [Fact]
    public void says_why_a_document_was_found()
    {
        using var index = HybridIndex.InMemory(new IndexSettings { Dimensions = 2, Stemming = Platform.GpuKernels.Search.Keywords.Stemming.English });
        Guid Id(int number) => new(number, 0, 0, new byte[8]);
        index.Apply([
            new IndexDocument(Id(1), "overdue invoices") { Vector = new float[] { 1, 0 } },
            new IndexDocument(Id(2), "a paid invoice, a paid bill") { Vector = new float[] { 0, 1 } },
            new IndexDocument(Id(3), "nothing") { Vector = new float[] { 0.9f, 0.1f } },
            new IndexDocument(Id(4), "an invoice")], [], 7);

        var hits = index.Search(new HybridQuery { Text = "Overdue invoice", Vector = new float[] { 2, 0 } }, CancellationToken.None);
        Assert.Equal([Id(1), Id(2), Id(3), Id(4)], hits.Select(hit => hit.Id).Order());
        Assert.Equal(Id(1), hits[0].Id);
        Assert.Equal(["overdu", "invoic"], hits[0].MatchedTerms);
        Assert.Equal((1, 1, 1.0), (hits[0].Keywords!.Rank, hits[0].Vector!.Rank, hits[0].Vector!.Score));
        Assert.Equal((1.0 / 61) + (1.0 / 61), hits[0].Score);
        Assert.Null(hits.Single(hit => hit.Id == Id(3)).Keywords);
        Assert.Null(hits.Single(hit => hit.Id == Id(4)).Vector);
        Assert.All(hits, hit => Assert.Equal(hit.Score, (hit.Keywords?.Share ?? 0) + (hit.Vector?.Share ?? 0)));

        var weighted = index.Search(new HybridQuery { Text = "invoice", Vector = new float[] { 0, 1 }, Fusion = Fusion.Weighted(1) }, CancellationToken.None);
        Assert.Equal((Id(2), 1.0), (weighted[0].Id, weighted[0].Score));
    }

    [Fact]
    public void answers_several_queries_as_it_answers_each()
    {
        var random = new Random(6);
        using var index = HybridIndex.InMemory(new IndexSettings { Dimensions = 5 });
        index.Apply([.. Enumerable.Range(0, 200).Select(_ => Document(random, 5))], [], 1);
        using var reader = index.OpenReader();
        var queries = Enumerable.Range(0, 90).Select(at => new HybridQuery
        {
            Text = at % 3 == 0 ? "" : Words[at % Words.Length],
            Vector = at % 3 == 1 ? default : VectorData.Gaussian(random, 5),
            Filter = at % 5 == 0 ? DocumentFilter.Tagged(Tags[0]) : null,
            Hits = 1 + (at % 4),
        }).ToArray();
        var together = reader.Search(queries, CancellationToken.None);
        Assert.Equal(queries.Select(query => reader.Search(query, CancellationToken.None).Select(hit => (hit.Id, hit.Score)).ToArray()), together.Select(hits => hits.Select(hit => (hit.Id, hit.Score)).ToArray()));
    }

    [Fact]
    public void names_the_document_that_it_refuses_and_stays_as_it_is()
    {
        using var index = HybridIndex.InMemory(new IndexSettings { Dimensions = 2 });
        var id = Guid.NewGuid();
        var good = new IndexDocument(Guid.NewGuid(), "good");
        foreach (var (wrong, says) in new (IndexDocument, string)[]
        {
            (new(id, "") { Vector = new float[] { 1, float.NaN } }, "component 1 is not a number"),
            (new(id, "") { Vector = new float[] { 1, 2, 3 } }, "3 components"),
            (new(id, new string('x', SearchLimits.TextLength)) { Title = "y" }, "more than 1048576"),
            (new(id, "") { Tags = [.. Enumerable.Repeat("x", SearchLimits.Tags + 1)] }, "257 tags"),
            (new(id, "") { Tags = [new string('é', 300)] }, "600 bytes"),
        })
        {
            var error = Assert.Throws<ArgumentException>(() => index.Apply([good, wrong], [], 1));
            Assert.Contains(id.ToString(), error.Message, StringComparison.Ordinal);
            Assert.Contains(says, error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(0, index.Position);
        using var reader = index.OpenReader();
        Assert.Equal(0, reader.Documents);
        Assert.Throws<ArgumentException>(() => reader.Search(new HybridQuery { Vector = new float[] { 1 } }, CancellationToken.None));
        Assert.Throws<ArgumentException>(() => reader.Search(new HybridQuery { Text = "x", Hits = SearchLimits.Hits + 1 }, CancellationToken.None));
        Assert.Throws<ArgumentOutOfRangeException>(() => HybridIndex.InMemory(new IndexSettings { B = double.NaN }));
    }

    [Fact]
    public void refuses_filters_without_end()
    {
        var filter = DocumentFilter.Tagged("x");
        for (var depth = 0; depth < DocumentFilter.Depth; depth++) { filter = DocumentFilter.Not(filter); }
        Assert.Throws<ArgumentException>(() => DocumentFilter.Any(filter));
    }

    private static void Compare(HybridIndex index, NaiveIndex naive, Random random, int dimensions)
    {
        using var reader = index.OpenReader();
        Assert.Equal(naive.Documents.Count, reader.Documents);
        var (filter, allowed) = Filter(random, naive, 3);
        foreach (var hits in (int[])[1, 7, 1000])
        {
            var text = string.Join(random.Next(2) == 0 ? " " : ", ", Enumerable.Range(0, random.Next(1, 6)).Select(_ => Words[random.Next(Words.Length)]));
            var found = reader.Search(new HybridQuery { Text = text, Hits = hits, Filter = filter }, CancellationToken.None);
            var expected = naive.Keywords(text, 10_000, allowed);
            Assert.Equal(Math.Min(hits, expected.Length), found.Count);

            // The naive formula rounds otherwise: scores agree to 12 digits, and the order where they differ by more.
            var scores = expected.ToDictionary(entry => entry.Id, entry => entry.Score);
            for (var at = 0; at < found.Count; at++)
            {
                Assert.Equal(expected[at].Score, found[at].Score, 1e-12 * (1 + expected[at].Score));
                Assert.Equal(scores[found[at].Id], found[at].Score, 1e-12 * (1 + found[at].Score));
                Assert.True(at == 0 || found[at - 1].Score > found[at].Score || found[at - 1].Id.CompareTo(found[at].Id) < 0);
            }

            var query = VectorData.Gaussian(random, dimensions);
            var near = reader.Search(new HybridQuery { Vector = query, Hits = hits, Filter = filter }, CancellationToken.None);
            Assert.Equal(naive.Nearest(query, hits, allowed), near.Select(hit => (hit.Id, hit.Score)));
        }
    }

    private static (DocumentFilter? Filter, Func<IndexDocument, bool> Allowed) Filter(Random random, NaiveIndex naive, int depth)
    {
        switch (random.Next(depth > 0 ? 6 : 2))
        {
            case 0:
                var tag = Tags[random.Next(Tags.Length)];
                return (DocumentFilter.Tagged(tag), document => document.Tags.Contains(tag));
            case 1:
                var ids = naive.Documents.Keys.Where(_ => random.Next(2) == 0).Append(Guid.NewGuid()).ToHashSet();
                return (DocumentFilter.WithId(ids), document => ids.Contains(document.Id));
            case 2:
                var (first, second) = (Filter(random, naive, 0), Filter(random, naive, depth - 1));
                return second.Filter is null ? first : (DocumentFilter.All(first.Filter!, second.Filter), document => first.Allowed(document) && second.Allowed(document));
            case 3:
                var (left, right) = (Filter(random, naive, 0), Filter(random, naive, depth - 1));
                return right.Filter is null ? right : (DocumentFilter.Any(left.Filter!, right.Filter), document => left.Allowed(document) || right.Allowed(document));
            case 4:
                var inner = Filter(random, naive, 0);
                return (DocumentFilter.Not(inner.Filter!), document => !inner.Allowed(document));
            default:
                return (null, _ => true);
        }
    }

    private static IndexDocument Document(Random random, int dimensions)
    {
        string Text(int words) => string.Join(' ', Enumerable.Range(0, words).Select(_ => Words[random.Next(Words.Length)]));
        var number = random.Next(600);
        return new IndexDocument(VectorData.Id(number), Text(random.Next(40)))
        {
            Title = random.Next(3) == 0 ? Text(2) : "",
            Tags = [.. Tags.Where(_ => random.Next(3) == 0)],
            Vector = random.Next(5) == 0 ? default : VectorData.Hard(random, 3, dimensions)[2],
        };
    }

    private static int Segments(HybridIndex index)
    {
        using var reader = index.OpenReader();
        return reader.Segments.Count;
    }
}
