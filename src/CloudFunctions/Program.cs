using Platform.Capabilities.Scripts;
using Platform.CloudFunctions;
using Platform.Hosting.Http;
using Platform.Messaging;

// The script sandbox starts this program again to lock itself in; then it does nothing else.
if (SandboxLauncher.TryRun(args)) { return 0; }

Settings settings;
try { settings = Settings.Read(Environment.GetEnvironmentVariable); }
catch (SettingsException wrong)
{
    await Console.Error.WriteLineAsync(wrong.Message);
    return 2;
}

// Azure Functions passes its own environment on, ASPNETCORE_URLS too: only its port counts.
var builder = WebApplication.CreateSlimBuilder();
builder.WebHost.ConfigureKestrel(kestrel =>
{
    kestrel.ListenLocalhost(settings.Port);
    kestrel.Limits.MaxRequestBodySize = Invocation.MaxBytes;
});
builder.Logging.SetMinimumLevel(LogLevel.Warning);
await using var app = builder.Build();
await using var instance = new Instance(settings);

// The host has asked for a key. Nothing waits in here: an open invocation is paid for, and one past functionTimeout costs the process.
var options = new HttpApiOptions(new Access(null, null), TenantId.Default, Triggers.Caller, Console.Error.WriteLine, app.Lifetime.ApplicationStopping) { MaxStreams = 0, MaxWaits = 0 };
using var api = new HttpApi(() => instance.Node, options);
api.Map(app);
new Triggers(instance, settings.Deadline).Map(app);
await app.RunAsync();
return 0;
