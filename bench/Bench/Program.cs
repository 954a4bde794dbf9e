using System.Runtime.InteropServices;
using Platform.Bench;

var settings = Settings.Parse(args);
if (settings is null) { return 2; }

var report = new Report(settings);
await using var ground = await Ground.Start(settings);

// Whoever is told to stop leaves no server behind.
void Stop(PosixSignalContext signal)
{
    signal.Cancel = true;
    ground.DisposeAsync().AsTask().GetAwaiter().GetResult();
    Environment.Exit(130);
}

using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
await report.Describe(ground);
foreach (var (name, part) in Parts.All)
{
    if (settings.Wanted.Count > 0 && !settings.Wanted.Contains(name)) { continue; }
    Console.Error.WriteLine($"{name} ...");
    await part(ground, report);
}

report.Print();
return 0;
