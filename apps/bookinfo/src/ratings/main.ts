import { serve } from '../service.ts'
import { ratingsServer } from './server.ts'

await serve('ratings', ratingsServer())
