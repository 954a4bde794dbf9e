using Platform.Domain.Inference;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.OpenCl;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Tests.Devices;
using Platform.GpuKernels.Tests.Embedding;
using Platform.Messaging;

namespace Platform.Hosting.Tests;

public sealed class A_node_whose_device_fails(A_place_for_nodes place) : IClassFixture<A_place_for_nodes>
{
    private static readonly string[] First = ["w5 w9 w400", "", "w9"];
    private static readonly string[] Second = ["w7 w8 w9 w10 w11", "w3", "w5 w5"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task in_the_middle_of_a_batch_answers_it_from_the_cpu_and_says_so_and_tries_the_device_again_when_it_is_started_again()
    {
        var tenant = TenantId.Default;

        // With heads that a device takes.
        using var model = RandomModel.WriteWhole().Write("config.json", RandomModel.Bert.Replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 2", StringComparison.Ordinal));
        var info = Each.Of(DeviceKind.OpenCl).Info;

        // What the CPU answers, and how many calls the device takes for each batch.
        float[][] ofCpu;
        await using (var node = await place.Open(new TextEmbedderOptions { Load = new EmbeddingModelOptions() }))
        {
            await place.Import(node, tenant, "model", model);
            ofCpu = await Embed(node, tenant, Second);
        }

        int afterFirst, afterSecond;
        {
            var sound = new FaultyAccelerator(new OpenClAccelerator(new OpenClLibrary(), 0), int.MaxValue, DeviceFailure.Lost);
            await using var node = await place.Open(On(info, () => sound));
            await Embed(node, tenant, First);
            afterFirst = sound.Calls;
            Assert.NotEqual(ofCpu[0], (await Embed(node, tenant, Second))[0]);
            afterSecond = sound.Calls;
            Assert.Null(await LastSetAside(node, tenant));
        }

        Assert.True(afterSecond > afterFirst + 4, $"{afterFirst} calls, then {afterSecond}.");
        var opened = 0;
        var faulty = new FaultyAccelerator(new OpenClAccelerator(new OpenClLibrary(), 0), (afterFirst + afterSecond) / 2, DeviceFailure.Lost);
        TextEmbedderOptions embedding = On(info, () =>
        {
            opened++;
            return faulty;
        });
        await using (var node = await place.Open(embedding))
        {
            await Embed(node, tenant, First);
            Assert.True(Assert.Single(node.Embedders.Loaded).IsOnDevice);
            Assert.False(faulty.HasFailed);

            Assert.Equal(ofCpu, await Embed(node, tenant, Second));
            Assert.True(faulty.HasFailed);
            Assert.False(Assert.Single(node.Embedders.Loaded).IsOnDevice);
            Assert.Equal(0, faulty.OpenStreams);
            Assert.Equal(ofCpu, await Embed(node, tenant, Second));
            Assert.Equal(1, opened);
        }

        // The batch did not wait for the event, and the node's end does.
        await using (var again = await place.Open(On(info, () => new OpenClAccelerator(new OpenClLibrary(), 0))))
        {
            var aside = await LastSetAside(again, tenant);
            Assert.Equal((info.Id, info.Name, "Lost", "model"), (aside?.Device, aside?.DeviceName, aside?.Failure, aside?.Model));
            Assert.Contains("INJECTED", aside!.Reason, StringComparison.Ordinal);
            Assert.Contains(info.Id, ComputeDevices.Describe(aside), StringComparison.Ordinal);

            var ofDevice = await Embed(again, tenant, Second);
            Assert.NotEqual(ofCpu[0], ofDevice[0]);
            Assert.InRange(ofCpu[0].Zip(ofDevice[0]).Sum(pair => (double)pair.First * pair.Second), 0.9995, 1.001);
            Assert.True(Assert.Single(again.Embedders.Loaded).IsOnDevice);
            Assert.Equal(1, await Events(again, tenant));
        }
    }

    [Fact]
    public async Task answers_all_who_call_it_meanwhile_and_tells_it_once()
    {
        var tenant = new TenantId("many");
        using var model = RandomModel.WriteWhole().Write("config.json", RandomModel.Bert.Replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 2", StringComparison.Ordinal));
        var info = Each.Of(DeviceKind.OpenCl).Info;
        var faulty = new FaultyAccelerator(new OpenClAccelerator(new OpenClLibrary(), 0), 60, DeviceFailure.OutOfMemory);
        await using (var node = await place.Open(On(info, () => faulty)))
        {
            await place.Import(node, tenant, "model", model);
            var answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() => Embed(node, tenant, Second))));
            Assert.All(answers, answer => Assert.Equal(Second.Length, answer.Length));
            Assert.True(faulty.HasFailed);
        }

        await using var again = await place.Open();
        Assert.Equal(1, await Events(again, tenant));
        Assert.Equal("OutOfMemory", (await LastSetAside(again, tenant))?.Failure);
    }

    private static TextEmbedderOptions On(DeviceInfo info, Func<Accelerator> open) => new() { Load = new EmbeddingModelOptions(Device: info) { Open = _ => open() } };

    private static async Task<float[][]> Embed(Node node, TenantId tenant, string[] texts)
    {
        var embedder = await node.Embedders.Of(tenant, "model", Cancellation);
        return [.. (await embedder.Embed(texts, TextPurpose.Document, Cancellation)).Vectors];
    }

    private static async Task<Domain.Inference.DeviceSetAside?> LastSetAside(Node node, TenantId tenant) =>
        (await node.Store.Load(tenant, ModelLibraryId.Only.Value, Domain.Folds.ModelLibrary, Cancellation)).State!.LastSetAside;

    private static async Task<int> Events(Node node, TenantId tenant)
    {
        var count = 0;
        await foreach (var recorded in node.Store.Fetch(tenant, ModelLibraryId.Only.Value, cancellation: Cancellation)) { count += recorded.Data is Domain.Inference.DeviceSetAside ? 1 : 0; }

        return count;
    }
}
