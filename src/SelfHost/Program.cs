using Platform.SelfHost.Cli;

return await CommandLine.Run(args);
