import { serve } from '../service.ts'
import { detailsServer } from './server.ts'

await serve('details', detailsServer())
