using Platform.Bench;

var settings = Settings.Parse(args);
if (settings is null) { return 2; }

var report = new Report(settings);
await using var ground = await Ground.Start(settings);
await report.Describe(ground);
foreach (var (name, part) in Parts.All)
{
    if (settings.Wanted.Count > 0 && !settings.Wanted.Contains(name)) { continue; }
    Console.Error.WriteLine($"{name} ...");
    await part(ground, report);
}

report.Print();
return 0;
