using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Tests.Embedding;
using Platform.Inference.Embedding;

namespace Platform.Inference.Tests.Embedding;

public sealed class Loaded_models : IAsyncLifetime
{
    private static readonly string[] Texts = ["w5 w9", "w7"];

    private readonly TemporaryModel directory = RandomModel.WriteWhole();
    private readonly long bytes;
    private readonly List<string> loads = [];
    private LoadedModels<string> models;

    public Loaded_models()
    {
        bytes = EmbeddingModel.BytesOf(directory.Path, WeightPrecision.Float32);
        models = new LoadedModels<string>(2 * bytes);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await models.DisposeAsync();
        directory.Dispose();
    }

    [Fact]
    public async Task stay_and_go_by_when_they_were_called_last()
    {
        await Embed("a");
        await Embed("b");
        await Embed("a");
        Assert.Equal(["a", "b"], loads);
        Assert.Equal(["a", "b"], models.Loaded.Select(model => model.Key));
        Assert.Equal(2 * bytes, models.HeldBytes);

        // There is room for two, and b was not called as long.
        await Embed("c");
        Assert.Equal(["c", "a"], models.Loaded.Select(model => model.Key));
        await Embed("a");
        await Embed("b");
        Assert.Equal(["a", "b", "c", "b"], loads);
        Assert.Equal(["b", "a"], models.Loaded.Select(model => model.Key));
        Assert.Equal(2 * bytes, models.HeldBytes);
        Assert.All(models.Loaded, model => Assert.Equal((bytes, 0, false), (model.Bytes, model.Calls, model.IsOnDevice)));
    }

    [Fact]
    public async Task are_loaded_once_for_all_calls_that_come_meanwhile()
    {
        using var go = new ManualResetEventSlim();
        var calls = Enumerable.Range(0, 8).Select(_ => Embed("a", () => go.Wait(Cancellation))).ToArray();
        go.Set();
        var answers = await Task.WhenAll(calls);
        Assert.Equal(["a"], loads);
        Assert.All(answers, answer => Assert.Equal(answers[0].Vectors[0], answer.Vectors[0]));
    }

    [Fact]
    public async Task do_not_go_while_a_call_uses_them()
    {
        var (holdsA, letA) = Hold("a");
        await holdsA.Task;
        await Embed("b");
        var (holdsC, letC) = Hold("c");
        await holdsC.Task;

        // b went, although a was called before it.
        Assert.Equal(["c", "a"], models.Loaded.Select(model => model.Key));
        Assert.Equal([1, 1], models.Loaded.Select(model => model.Calls));

        // For another one a must go: it takes no more calls, and is waited for.
        var fourth = Embed("d");
        while (models.Loaded.Any(model => model.Key == "a")) { await Task.Yield(); }
        Assert.False(fourth.IsCompleted);
        Assert.Equal(2 * bytes, models.HeldBytes);
        letA.SetResult();
        await fourth;
        Assert.Equal(["d", "c"], models.Loaded.Select(model => model.Key));
        letC.SetResult();
    }

    [Fact]
    public async Task that_are_waited_for_leave_a_cancelled_call_alone()
    {
        models = new LoadedModels<string>(bytes);
        var (holds, let) = Hold("a");
        await holds.Task;
        using var cancel = new CancellationTokenSource();
        var waiting = Call("b", () => { }, embedder => embedder.Embed(Texts, TextPurpose.Document, Cancellation), cancel.Token);
        while (models.Loaded.Count > 0) { await Task.Yield(); }
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        let.SetResult();

        // What it would have taken is not taken.
        await Embed("c");
        Assert.Equal(bytes, models.HeldBytes);
        Assert.Equal(["a", "c"], loads);
    }

    [Fact]
    public async Task keep_to_their_bound_however_they_are_called()
    {
        string[] names = ["a", "b", "c", "d", "e"];
        await Parallel.ForAsync(0, 200, new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Cancellation }, async (i, _) =>
        {
            var answer = await Embed(names[i * 7 % 11 % names.Length]);
            Assert.Equal(2, answer.Vectors.Count);
            Assert.InRange(models.HeldBytes, 0, 2 * bytes);
        });
        Assert.True(loads.Count > names.Length);
        Assert.Equal(2, models.Loaded.Count);
    }

    [Fact]
    public async Task that_cannot_be_loaded_take_nothing_and_are_tried_again()
    {
        for (var i = 0; i < 3; i++) { await Assert.ThrowsAsync<UnusableModelException>(() => Embed("broken", () => throw new UnusableModelException("config.json", "is broken."))); }

        Assert.Equal(0, models.HeldBytes);
        await Embed("broken");
        Assert.Equal(bytes, models.HeldBytes);
    }

    [Fact]
    public async Task refuse_one_that_is_larger_than_all_may_be_and_keep_those_that_are_there()
    {
        await Embed("a");
        var refused = await Assert.ThrowsAsync<ModelTooLargeException>(() => models.Call("large", _ => Task.FromResult((2 * bytes) + 1), () => throw new InvalidOperationException("It is not to be loaded."), _ => Task.FromResult(0), Cancellation));
        Assert.Equal(((2 * bytes) + 1, 2 * bytes), (refused.Bytes, refused.MaxBytes));
        Assert.Equal("a", Assert.Single(models.Loaded).Key);
    }

    [Fact]
    public async Task that_are_dropped_answer_who_called_them_and_are_loaded_again()
    {
        var (holds, let) = Hold("a");
        await holds.Task;
        models.Drop(key => key == "a");
        Assert.Empty(models.Loaded);
        await Embed("a");
        Assert.Equal(["a", "a"], loads);
        Assert.Equal(2 * bytes, models.HeldBytes);
        let.SetResult();
    }

    [Fact]
    public async Task that_are_stopped_answer_what_they_took_and_refuse_the_rest()
    {
        var (holds, let) = Hold("a");
        await holds.Task;
        using var loading = new ManualResetEventSlim();
        using var loaded = new ManualResetEventSlim();
        var late = Embed("b", () =>
        {
            loading.Set();
            loaded.Wait(Cancellation);
        });
        loading.Wait(Cancellation);
        var waiting = Embed("c");
        var stopped = models.DisposeAsync().AsTask();
        await Assert.ThrowsAsync<TextEmbedderBusyException>(() => Embed("a"));
        Assert.False(stopped.IsCompleted);
        loaded.Set();
        Assert.Equal(2, (await late).Vectors.Count);
        await Assert.ThrowsAsync<TextEmbedderBusyException>(() => waiting);
        Assert.False(stopped.IsCompleted);
        let.SetResult();
        await stopped;
        Assert.Equal(0, models.HeldBytes);
    }

    private Task<TextEmbeddings> Embed(string name, Action? beforeLoad = null) => Call(name, beforeLoad, embedder => embedder.Embed(Texts, TextPurpose.Document, Cancellation), Cancellation);

    /// <summary>A call that uses a model until it is let go, and embeds with it then.</summary>
    private (TaskCompletionSource Holds, TaskCompletionSource Let) Hold(string name)
    {
        var holds = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var let = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var call = Call(
            name,
            null,
            async embedder =>
            {
                holds.SetResult();
                await let.Task;
                return await embedder.Embed(Texts, TextPurpose.Document, Cancellation);
            },
            Cancellation);
        _ = call.ContinueWith(ended => holds.TrySetException(ended.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return (holds, let);
    }

    private Task<TextEmbeddings> Call(string name, Action? beforeLoad, Func<LocalTextEmbedder, Task<TextEmbeddings>> call, CancellationToken cancellation) => models.Call(
        name,
        _ => Task.FromResult(EmbeddingModel.BytesOf(directory.Path, WeightPrecision.Float32)),
        () =>
        {
            beforeLoad?.Invoke();
            lock (loads) { loads.Add(name); }

            return LocalTextEmbedder.Load(directory.Path, name, "00");
        },
        call,
        cancellation);
}
