using Platform.Capabilities.Scripts;
using Platform.SelfHost.Cli;

// The script sandbox starts this program again to lock itself in; then it does nothing else.
if (SandboxLauncher.TryRun(args)) { return 0; }

return await CommandLine.Run(args);
