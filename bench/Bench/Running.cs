using System.Text.Json;
using Platform.Domain.Daemons;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.Bench;

/// <summary>
/// Durable runs of five steps on a whole node as a host starts it: saga, sealer, four projections. A step is a tool stage that reads a small file and returns about
/// 220 bytes. The caller starts the run through the bus and waits until it has ended. The floor, five times a run: append one event of that size and update one row,
/// a prepared statement in a transaction of its own.
/// </summary>
internal static class Running
{
    private const int Steps = 5;

    private const string Daemon = """
        spec: daemon/v1
        daemon:
          name: Five steps
          inputs: [{ name: file, type: file }]
          permissions: { files: { read: ['${ inputs.file }'] }, capabilities: [files.read] }
          stages:
            - { id: one, tool: files.read, with: { path: '${ inputs.file }' }, output: a }
            - { id: two, tool: files.read, with: { path: '${ inputs.file }' }, output: b }
            - { id: three, tool: files.read, with: { path: '${ inputs.file }' }, output: c }
            - { id: four, tool: files.read, with: { path: '${ inputs.file }' }, output: d }
            - { id: five, tool: files.read, with: { path: '${ inputs.file }' }, output: e }
          outputs: { last: '${ e.name }' }
        """;

    public static async Task Measure(Ground ground, Report report)
    {
        await using var other = Ground.Source(await ground.Database("run_raw"));
        await Raw.Tables(other);
        var folder = Path.Combine(ground.Folder, "node");
        Directory.CreateDirectory(folder);
        var file = Path.Combine(folder, "n");
        await File.WriteAllTextAsync(file, "ok");
        await using var node = await Node.Open(new NodeOptions(await ground.Database("run"), folder), CancellationToken.None);
        await node.StartWorking(CancellationToken.None);
        var inputs = JsonSerializer.SerializeToElement(new Dictionary<string, string> { ["file"] = file }, RunningJson.Default.DictionaryStringString);
        await Ours(node, inputs, check: true);

        // A run touches ten times as much code as an append: it is compiled for good after some hundred of them.
        await Rounds.Measure(ground, 32, _ => Ours(node, inputs, check: false), TimeSpan.MaxValue, ground.Settings.Size(1_500, 8));

        foreach (var together in (int[])[8, 32])
        {
            var raw = await Raw.Open(other, together);
            var rounds = await Rounds.Run(ground, together, _ => Ours(node, inputs, check: false), writer => Floor(raw[writer]));
            report.Add("run", $"{Steps} steps, {together} at a time", "/s", rounds.Ours.Select(s => s.PerSecond), rounds.Peer.Select(s => s.PerSecond), new Bar(0.5, true, true));
            report.Add("run", $"{Steps} steps, {together} at a time: CPU", "ms", rounds.Ours.Select(s => s.CpuUs / 1000), rounds.Peer.Select(s => s.CpuUs / 1000), new Bar(4, false, false));
            report.Add("run", $"{Steps} steps, {together} at a time: CPU of the client alone", "ms", rounds.Ours.Select(s => s.OwnCpuUs / 1000), rounds.Peer.Select(s => s.OwnCpuUs / 1000), null);
            foreach (var one in raw) { await one.DisposeAsync(); }
        }
    }

    private static async Task Ours(Node node, JsonElement inputs, bool check)
    {
        var run = RunId.From(Guid.CreateVersion7());
        await node.Bus.Invoke(new StartRun(run, Daemon, inputs, "bench"), new InvokeOptions(TenantId.Default, User: "bench"), CancellationToken.None);
        var ended = await node.Store.WaitUntil(TenantId.Default, run.Value, Domain.Folds.Run, state => state?.Ended is not null, CancellationToken.None);
        if (ended.State!.Ended is not RunOutcome.Completed) { throw new InvalidOperationException($"A run ended with {ended.State.Ended}."); }
        if (!check) { return; }

        var sizes = new List<int>();
        await foreach (var recorded in node.Store.Fetch(TenantId.Default, run.Value))
        {
            if (recorded.Data is StageCompleted completed) { sizes.Add(JsonSerializer.SerializeToUtf8Bytes(completed.Output!.Value, RunningJson.Default.JsonElement).Length); }
        }

        if ((sizes.Count != Steps || sizes.Any(size => size is < 180 or > 280))) { throw new InvalidOperationException($"Steps returned {string.Join(", ", sizes)} bytes."); }
    }

    private static async Task Floor(Raw raw)
    {
        var run = Guid.CreateVersion7();
        var cause = run.ToString();
        await raw.Start(run, [Note.Small(0)], DateTimeOffset.UtcNow, cause, cause);
        for (var step = 1; step < Steps; step++) { await raw.Append(run, step, Note.Small(step), DateTimeOffset.UtcNow, cause, cause); }
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(Dictionary<string, string>))]
[System.Text.Json.Serialization.JsonSerializable(typeof(JsonElement))]
internal sealed partial class RunningJson : System.Text.Json.Serialization.JsonSerializerContext;
