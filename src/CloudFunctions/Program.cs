using Platform.Capabilities.Scripts;
using Platform.CloudFunctions;

// The script sandbox starts this program again to lock itself in; then it does nothing else.
if (SandboxLauncher.TryRun(args)) { return 0; }

// Azure Functions passes its own environment on, ASPNETCORE_URLS too: only its port counts.
if (!ushort.TryParse(Environment.GetEnvironmentVariable("FUNCTIONS_CUSTOMHANDLER_PORT"), out var port))
{
    await Console.Error.WriteLineAsync("FUNCTIONS_CUSTOMHANDLER_PORT is not set: this program is started by the Azure Functions host.");
    return 2;
}

var builder = WebApplication.CreateSlimBuilder();
builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenLocalhost(port));
builder.Logging.SetMinimumLevel(LogLevel.Warning);
await using var app = builder.Build();
await using var instance = new Instance();
new Triggers(instance).Map(app);
await app.RunAsync();
return 0;
