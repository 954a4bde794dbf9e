using System.Collections.Concurrent;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Batching;
using Platform.Testing;

namespace Platform.GpuKernels.Tests.Embedding.Batching;

public sealed class An_embedding_batcher : IDisposable
{
    private readonly TemporaryModel _directory = RandomModel.WriteWhole().Write("config_sentence_transformers.json", """{"prompts": {"query": "w5 "}}""");
    private readonly EmbeddingModel _model;
    private readonly FakeTime _time = new();

    /// <summary>Batches as they come, while <see cref="_held"/> holds them.</summary>
    private readonly ConcurrentQueue<int> _sizes = new();
    private readonly SemaphoreSlim _begun = new(0);
    private readonly SemaphoreSlim _held = new(0);

    public An_embedding_batcher() => _model = EmbeddingModel.Load(_directory.Path);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task gives_each_of_many_threads_the_bits_of_the_texts_alone()
    {
        await using var batcher = new EmbeddingBatcher(_model, new BatchingOptions { MaxBatchTokens = 200, TurnTokens = 40 });
        var all = new ConcurrentBag<(string Text, EmbeddingPurpose Purpose, float[] Vector)>();
        var threads = Enumerable.Range(0, 16).Select(thread => new Thread(() =>
        {
            var random = new Random(thread);
            for (var call = 0; call < 6; call++)
            {
                var purpose = (EmbeddingPurpose)random.Next(2);
                var texts = Enumerable.Range(0, random.Next(thread == 0 ? 250 : 4)).Select(_ => string.Join(' ', Enumerable.Range(0, random.Next(20)).Select(_ => $"w{random.Next(4, 60)}"))).ToArray();
                var vectors = batcher.Embed(texts, purpose, CancellationToken.None).GetAwaiter().GetResult();
                for (var i = 0; i < texts.Length; i++) { all.Add((texts[i], purpose, vectors[i])); }
            }
        })).ToArray();
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        Assert.True(all.Count > 600);
        foreach (var group in all.GroupBy(one => one.Purpose))
        {
            var distinct = group.DistinctBy(one => one.Text).Select(one => one.Text).ToArray();
            var alone = distinct.Zip(distinct.Select(text => _model.Embed([text], group.Key, Stop).Single())).ToDictionary(pair => pair.First, pair => pair.Second);
            Assert.All(group, one => Assert.Equal(alone[one.Text], one.Vector));
        }

        var status = batcher.Status;
        Assert.Equal((all.Count, 0, 0, 0), (status.Texts, status.AcceptedTexts, status.WaitingTexts, status.RunningTexts));
        Assert.Equal(status.Batches, status.BatchesBySize.Sum());
        Assert.True(status.Batches < status.Texts, "Nothing was gathered.");
    }

    [Fact]
    public async Task answers_a_lone_request_at_once_and_gathers_while_a_batch_runs()
    {
        await using var batcher = Held(new BatchingOptions());
        var first = Embed(batcher, "w5");
        await Begun(1);
        var others = Enumerable.Range(0, 5).Select(i => Embed(batcher, $"w{10 + i}")).ToArray();
        await Waiting(batcher, 5);
        _held.Release();
        await Begun(5);
        _held.Release();
        Assert.Equal(_model.Embed(["w5"], EmbeddingPurpose.Document, Stop)[0], (await first)[0]);
        Assert.Equal(6, (await Task.WhenAll(others)).Length + 1);
        Assert.Equal((2, 6), (batcher.Status.Batches, batcher.Status.Answered));
        Assert.Equal([1, 0, 1], batcher.Status.BatchesBySize.Take(3));
    }

    [Fact]
    public async Task lets_the_first_wait_for_company_as_long_as_it_is_told()
    {
        await using var batcher = Held(new BatchingOptions { MaxDelay = TimeSpan.FromMilliseconds(10), Time = _time });
        var first = Embed(batcher, "w5");
        await Waiting(batcher, 1);
        _time.Advance(TimeSpan.FromMilliseconds(6));
        var second = Embed(batcher, "w6");
        await Waiting(batcher, 2);
        _time.Advance(TimeSpan.FromMilliseconds(3));
        Assert.Equal((2, 0), (batcher.Status.WaitingTexts, batcher.Status.RunningTexts));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await Begun(2);
        _held.Release();
        await Task.WhenAll(first, second);
        Assert.Equal((TimeSpan.FromMilliseconds(10), TimeSpan.FromMilliseconds(14), 2), (batcher.Status.LongestWait, batcher.Status.TotalWait, batcher.Status.Started));
    }

    [Fact]
    public async Task splits_a_large_request_and_lets_a_small_one_pass()
    {
        await using var batcher = Held(new BatchingOptions { MaxBatchTexts = 10, TurnTokens = 15 });
        var texts = Enumerable.Range(0, 600).Select(i => $"w{5 + (i % 400)}").ToArray();
        var large = Embed(batcher, texts);
        await Begun(10);
        var small = Embed(batcher, "w9", "w10");
        await Waiting(batcher, 592);
        _held.Release();
        await Begun(10);
        _held.Release();
        await small;
        Assert.False(large.IsCompleted);
        _held.Release(100);
        var vectors = await large;
        Assert.Equal(_model.Embed(texts, EmbeddingPurpose.Document, Stop), vectors);
    }

    [Fact]
    public async Task takes_no_more_than_it_has_room_for_and_says_so_by_name()
    {
        await using var batcher = Held(new BatchingOptions { MaxQueuedTexts = 4, MaxQueuedLength = 40 });
        var first = Embed(batcher, "w5", "w6", "w7");
        await Begun(3);
        var full = await Assert.ThrowsAsync<EmbeddingRefusedException>(() => Embed(batcher, "w8", "w9"));
        Assert.Equal(EmbeddingRefusal.QueueFull, full.Refusal);
        await Assert.ThrowsAsync<EmbeddingRefusedException>(() => Embed(batcher, new string('x', 35)));
        await Assert.ThrowsAsync<ArgumentException>(() => Embed(batcher, new string('x', 41)));
        await Assert.ThrowsAsync<ArgumentException>(() => Embed(batcher, "", "", "", "", ""));
        var fits = Embed(batcher, "w8");
        _held.Release(2);
        Assert.Equal((3, 1), ((await first).Length, (await fits).Length));
        Assert.Equal((2, 0), (batcher.Status.Refused, batcher.Status.AcceptedTexts));
        _held.Release();
        Assert.Equal(4, (await Embed(batcher, "w5", "w6", "w7", "w8")).Length);
    }

    [Fact]
    public async Task forgets_a_request_that_is_cancelled_and_stops_a_batch_that_nobody_waits_for()
    {
        await using var batcher = Held(new BatchingOptions { MaxBatchTexts = 2 });
        using var cancel = new CancellationTokenSource();
        var running = batcher.Embed(["w5", "w6", "w7"], EmbeddingPurpose.Document, cancel.Token);
        await Begun(2);
        var behind = batcher.Embed(["w8"], EmbeddingPurpose.Document, cancel.Token);
        await Waiting(batcher, 2);
        var stays = Embed(batcher, "w9");
        await Waiting(batcher, 3);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => behind);

        // The held batch has seen it: it ends without being let go, and the next is of what stayed.
        await Begun(1);
        _held.Release();
        Assert.Single(await stays);
        Assert.Equal((2, 1, 0), (batcher.Status.Cancelled, batcher.Status.Answered, batcher.Status.AcceptedTexts));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => batcher.Embed(["w5"], EmbeddingPurpose.Document, cancel.Token));
    }

    [Fact]
    public async Task fails_those_whose_batch_fails_and_nobody_else()
    {
        var failing = new ConcurrentQueue<Exception>([new DivideByZeroException("this batch")]);
        await using var batcher = Held(new BatchingOptions { MaxBatchTexts = 4, TurnTokens = 6 }, failing);
        var first = Embed(batcher, [.. Enumerable.Repeat("w5", 6)]);
        await Begun(4);
        var second = Embed(batcher, "w6");
        await Waiting(batcher, 3);
        _held.Release();
        await Assert.ThrowsAsync<DivideByZeroException>(() => first);
        await Begun(1);
        _held.Release();
        Assert.Equal(_model.Embed(["w6"], EmbeddingPurpose.Document, Stop), await second);
        Assert.Equal((1, 1), (batcher.Status.Failed, batcher.Status.Answered));
    }

    [Fact]
    public async Task answers_what_it_has_taken_when_it_is_stopped_and_takes_no_more()
    {
        await using var batcher = Held(new BatchingOptions { MaxDelay = TimeSpan.FromSeconds(30), MaxBatchTexts = 2, Time = _time });
        var waits = Embed(batcher, "w5");
        await Waiting(batcher, 1);
        var stopping = batcher.Stop(CancellationToken.None);
        Assert.Equal(EmbeddingRefusal.Stopping, (await Assert.ThrowsAsync<EmbeddingRefusedException>(() => Embed(batcher, "w6"))).Refusal);
        await Begun(1);
        Assert.False(stopping.IsCompleted);
        _held.Release();
        Assert.Single(await waits);
        await stopping;
        await batcher.Stop(CancellationToken.None);
    }

    [Fact]
    public async Task gives_up_what_is_left_when_it_has_to_hurry()
    {
        await using var batcher = Held(new BatchingOptions { MaxBatchTexts = 1 });
        var (running, waiting) = (Embed(batcher, "w5"), Embed(batcher, "w6"));
        await Begun(1);
        await Waiting(batcher, 1);
        using var hurry = new CancellationTokenSource();
        var stopping = batcher.Stop(hurry.Token);
        await hurry.CancelAsync();
        await stopping;
        foreach (var one in (Task[])[running, waiting]) { Assert.Equal(EmbeddingRefusal.Stopping, (await Assert.ThrowsAsync<EmbeddingRefusedException>(() => one)).Refusal); }
    }

    [Fact]
    public void refuses_limits_that_are_none()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new EmbeddingBatcher(_model, new BatchingOptions { MaxBatchTexts = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new EmbeddingBatcher(_model, new BatchingOptions { MaxDelay = TimeSpan.FromHours(1) }));
    }

    public void Dispose()
    {
        _model.Dispose();
        _directory.Dispose();
        _begun.Dispose();
        _held.Dispose();
    }

    /// <summary>On the real model, each batch after <see cref="_held"/> lets it go.</summary>
    private EmbeddingBatcher Held(BatchingOptions options, ConcurrentQueue<Exception>? failing = null) => new(
        _model.Tokenise,
        (packed, vectors, cancellation) =>
        {
            _sizes.Enqueue(packed.Count);
            _begun.Release();
            _held.Wait(cancellation);
            if (failing?.TryDequeue(out var failure) == true) { throw failure; }

            _model.EmbedPacked(packed, vectors, cancellation);
        },
        batchTokens: 1_000,
        options);

    private Task<float[][]> Embed(EmbeddingBatcher batcher, params string[] texts) => batcher.Embed(texts, EmbeddingPurpose.Document, Stop);

    /// <summary>The next batch has begun, and has so many texts.</summary>
    private async Task Begun(int texts)
    {
        Assert.True(await _begun.WaitAsync(TimeSpan.FromSeconds(30), Stop), "No batch began.");
        Assert.True(_sizes.TryDequeue(out var size));
        Assert.Equal(texts, size);
    }

    /// <summary>Requests are tokenised on other threads before they wait.</summary>
    private static async Task Waiting(EmbeddingBatcher batcher, int texts)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        late.CancelAfter(TimeSpan.FromSeconds(30));
        while (batcher.Status.WaitingTexts != texts)
        {
            late.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
