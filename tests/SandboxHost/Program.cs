using System.Text.Json;
using System.Text.Json.Serialization;
using Platform.Capabilities.Scripts;
using Platform.Domain.Daemons;
using Platform.SandboxHost;

// A server in small: the launcher mode, and scripts run as whoever starts it (TIER JOBROOT CONCURRENCY), one job per line in and one outcome per line out.
if (SandboxLauncher.TryRun(args)) { return 0; }

var tier = Enum.Parse<SandboxTier>(args[0]);
using var sandbox = new ScriptSandbox(new ScriptSandboxOptions { Tier = tier, JobRoot = args[1], Concurrency = int.Parse(args[2]) });
var gate = new Lock();
List<Task> running = [];
while (await Console.In.ReadLineAsync() is { } line)
{
    running.Add(Run(JsonSerializer.Deserialize(line, Lines.Default.HostedJob)!));
}

await Task.WhenAll(running);
return 0;

async Task Run(HostedJob job)
{
    HostedOutcome outcome;
    try { outcome = new(job.Name, await sandbox.Run(job.Job, CancellationToken.None), null); }
    catch (Exception failure) when (failure is SandboxUnavailableException or ScriptRefusedException) { outcome = new(job.Name, null, failure.Message); }
    lock (gate) { Console.WriteLine(JsonSerializer.Serialize(outcome, Lines.Default.HostedOutcome)); Console.Out.Flush(); }
}

namespace Platform.SandboxHost
{
    public sealed record HostedJob(string Name, ScriptJob Job);

    public sealed record HostedOutcome(string Name, ScriptOutcome? Outcome, string? Refusal);

    [JsonSerializable(typeof(HostedJob))]
    [JsonSerializable(typeof(HostedOutcome))]
    public sealed partial class Lines : JsonSerializerContext;
}
